//! What is known of some providers' tokens, as settings and nothing else.
//!
//! What a constructor sets, settings add to or replace as they do elsewhere. None of them sets the
//! audience, unless there is only one that it can be. They follow what the providers document and
//! publish as source; `tests/presets` has a token in the shape of each.

use super::Issuer;
use crate::claims::{Claim, Principals};

/// Declares constructors of [`Issuer`], and `PRESETS`, the table of them by which a configuration
/// finds each.
///
/// An argument is a `str`, a `url` that may end with a slash, or a list, `[str]`. Each has an
/// example, and behind `=>` is the identifier of the issuer that they make. The example that is
/// made of them ends the documentation, or stands where `[examples]` does.
macro_rules! presets {
    ($(
        $(#[$doc:meta])*
        $([examples] $(#[$last:meta])*)?
        $name:ident($($argument:ident: $type:tt = $example:expr),*) => $id:literal $body:block
    )*) => {
        impl Issuer {
            $(
                $(#[$doc])*
                ///
                /// # Examples
                ///
                /// ```
                #[doc = concat!(
                    "let issuer = tower_bearer::Issuer::", stringify!($name), "(", stringify!($($example),*), ");\n",
                    "assert_eq!(issuer.id(), ", stringify!($id), ");",
                )]
                /// ```
                $($(#[$last])*)?
                pub fn $name($($argument: argument!(type $type)),*) -> Self {
                    $(argument!(read $type $argument);)*
                    $body
                }
            )*
        }

        pub(super) const PRESETS: &[$crate::issuer::Preset] = &[$($crate::issuer::Preset {
            name: stringify!($name),
            arguments: &[$($crate::issuer::Argument {
                name: stringify!($argument),
                is_list: argument!(is_list $type),
                #[cfg(test)]
                example: argument!(list $type $example),
            }),*],
            make: |_given| Issuer::$name($(argument!(next $type _given)),*),
        }),*];
    };
}

macro_rules! argument {
    (type [str]) => { impl IntoIterator<Item = impl Into<String>> };
    (type $text:ident) => { &str };
    (read [str] $list:ident) => { let $list: Vec<String> = $list.into_iter().map(Into::into).collect(); };
    (read url $base:ident) => { let $base = $base.trim_end_matches('/'); };
    (read str $text:ident) => {};
    (is_list [str]) => { true };
    (is_list $text:ident) => { false };
    (list [str] $example:expr) => { &$example };
    (list $text:ident $example:expr) => { &[$example] };
    (next [str] $given:ident) => { $given.next().unwrap_or_default() };
    (next $text:ident $given:ident) => { &$given.next().unwrap_or_default().concat() };
}

mod hosted;
mod microsoft;
mod servers;
mod workloads;

/// A constructor of [`Issuer`] for a provider whose tokens are known.
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [Argument],
    /// Calls it with the arguments, in their order; one that is no list is a list of one.
    pub(crate) make: fn(&mut std::vec::IntoIter<Vec<String>>) -> Issuer,
}

pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) is_list: bool,
    #[cfg(test)]
    pub(crate) example: &'static [&'static str],
}

/// Returns all presets.
pub(crate) fn presets() -> impl Iterator<Item = &'static Preset> {
    [hosted::PRESETS, microsoft::PRESETS, servers::PRESETS, workloads::PRESETS].into_iter().flatten()
}

impl Issuer {
    /// Says by what the tokens tell users and clients apart.
    fn told_by(mut self, principals: Principals) -> Self {
        self.terms.principals = Some(principals);
        self
    }

    /// Refuses tokens that have one of these claims, by which other kinds of them can be told.
    fn lacking<const N: usize>(self, names: [&str; N]) -> Self {
        names.into_iter().fold(self, |issuer, name| issuer.require(Claim::absent([name])))
    }

    /// Notes, to be said when the server is built, that an argument cannot be meant.
    fn expecting(mut self, right: bool, field: &'static str, fix: &'static str) -> Self {
        if !right {
            self.terms.faults.push((field, fix));
        }
        self
    }
}

/// Tells whether this is a GUID as tokens have it.
pub(crate) fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Tells whether this is a host, perhaps with a port, and no address.
fn is_host(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '?', '#', '@', ' ']) && !text.contains("://")
}
