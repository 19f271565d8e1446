//! Rules as types.

use std::sync::LazyLock;

use super::rule::Rule;

/// An operation that a token may or may not permit, as a type, for [`Require`](crate::Require).
///
/// Define them with [`permissions!`](crate::permissions). A tuple of permissions needs all of them;
/// [`Rule::of`] tells what that is as a value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a permission",
    label = "not a permission",
    note = "define one with `tower_bearer::permissions! {{ pub Name = scope(\"…\"); }}`; a tuple needs all of its permissions"
)]
pub trait Permission: Send + Sync + 'static {
    /// Returns the rules that must all hold. Without any rule nothing is permitted.
    fn rules() -> impl Iterator<Item = &'static Rule>;
}

/// The rules of a permission, of which there is at least one: without any, nothing is permitted.
pub(crate) fn needed<P: Permission>() -> impl Iterator<Item = &'static Rule> {
    static NEVER: LazyLock<Rule> = LazyLock::new(Rule::never);
    let mut rules = P::rules().peekable();
    let never = rules.peek().is_none().then(|| &*NEVER);
    rules.chain(never)
}

impl Rule {
    /// Returns what a permission needs, as a value.
    ///
    /// A permission without any rule permits nothing: its rule refuses everyone.
    #[must_use]
    pub fn of<P: Permission>() -> Self {
        needed::<P>().cloned().reduce(|all, rule| all & rule).unwrap_or_else(Self::never)
    }
}

macro_rules! all_of {
    ($($permission:ident)+) => {
        impl<$($permission: Permission),+> Permission for ($($permission,)+) {
            fn rules() -> impl Iterator<Item = &'static Rule> {
                std::iter::empty()$(.chain(needed::<$permission>()))+
            }
        }
    };
}

all_of!(A);
all_of!(A B);
all_of!(A B C);
all_of!(A B C D);
all_of!(A B C D E);
all_of!(A B C D E F);

/// Defines operations and what they need: `scope("…")`, `role("…")`, `acr(["…"])`,
/// `authenticated_within(duration)`, `authorization_details("…")`, `&`, `|` and parentheses.
///
/// A scope or an `acr` that breaks the grammar of RFC 6749 §3.3 does not compile.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{Rule, permissions};
///
/// permissions! {
///     /// May list orders.
///     pub ReadOrders = scope("orders:read");
///     Refund = scope("orders:write") & (role("cashier") | role("admin"));
///     /// Only just after a sign-in.
///     CloseAccount = scope("account") & acr(["mfa"]) & authenticated_within(Duration::from_secs(60));
/// }
///
/// assert_eq!(Rule::of::<ReadOrders>(), Rule::scope("orders:read"));
/// assert_eq!(Rule::of::<(ReadOrders, Refund)>(), Rule::of::<ReadOrders>() & Rule::of::<Refund>());
/// ```
///
/// ```compile_fail
/// tower_bearer::permissions! { ReadOrders = scope("orders read"); }
/// ```
///
/// ```compile_fail
/// tower_bearer::permissions! { ReadOrders = acr([]); }
/// ```
#[macro_export]
macro_rules! permissions {
    ($($(#[$attribute:meta])* $visibility:vis $name:ident = $rule:expr;)+) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        #[allow(clippy::exhaustive_structs, reason = "there is nothing to add to a name")]
        $visibility struct $name;

        // the rule is read twice: as a constant, which is only made if each scope can stand in a token, and
        // as a value
        const _: bool = {
            #[allow(dead_code, reason = "a rule need not use all")]
            const fn scope(scope: &str) -> bool {
                assert!($crate::claims::is_scope_token(scope), "a scope consists of visible ASCII characters other than \" and \\");
                true
            }
            #[allow(dead_code, reason = "a rule need not use all")]
            const fn role(_: &str) -> bool {
                true
            }
            #[allow(dead_code, reason = "a rule need not use all")]
            const fn acr<const N: usize>(values: [&str; N]) -> bool {
                assert!(N > 0, "name the ways to sign in of which one is needed");
                let mut next = 0;
                while next < N {
                    assert!(scope(values[next]), "an acr consists of visible ASCII characters other than \" and \\");
                    next += 1;
                }
                true
            }
            #[allow(dead_code, reason = "a rule need not use all")]
            const fn authenticated_within(_: ::core::time::Duration) -> bool {
                true
            }
            #[allow(dead_code, reason = "a rule need not use all")]
            const fn authorization_details(type_name: &str) -> bool {
                assert!(!type_name.is_empty(), "a type of authorization details is not empty");
                true
            }
            $rule
        };

        impl $crate::authz::Permission for $name {
            fn rules() -> impl ::core::iter::Iterator<Item = &'static $crate::Rule> {
                #[allow(dead_code, reason = "a rule need not use all")]
                fn scope(scope: &'static str) -> $crate::Rule {
                    $crate::Rule::scope(scope)
                }
                #[allow(dead_code, reason = "a rule need not use all")]
                fn role(role: &'static str) -> $crate::Rule {
                    $crate::Rule::role(role)
                }
                #[allow(dead_code, reason = "a rule need not use all")]
                fn acr<const N: usize>(values: [&'static str; N]) -> $crate::Rule {
                    $crate::Rule::acr(values)
                }
                #[allow(dead_code, reason = "a rule need not use all")]
                fn authenticated_within(longest: ::core::time::Duration) -> $crate::Rule {
                    $crate::Rule::authenticated_within(longest)
                }
                #[allow(dead_code, reason = "a rule need not use all")]
                fn authorization_details(type_name: &'static str) -> $crate::Rule {
                    $crate::Rule::authorization_details(type_name)
                }
                static RULE: ::std::sync::LazyLock<$crate::Rule> = ::std::sync::LazyLock::new(|| $rule);
                ::core::iter::once(&*RULE)
            }
        }
    )+};
}
