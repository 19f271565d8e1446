//! Permission as the type of a handler's argument, and as a layer on a route.

mod layer;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

pub use self::layer::{RequireFuture, RequireLayer, RequireRule};
use crate::access_token::AccessToken;
use crate::authz::{Permission, Rule, needed};
use crate::error::Error;

/// The evidence that the caller's token permits `P`: a [`Permission`] or a tuple of them.
///
/// As an argument of an axum handler it is an extractor; a tonic method gets it by
/// `request.require::<P>()`. It dereferences to the token.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Require, permissions};
///
/// permissions! { pub ReadOrders = scope("orders:read"); }
///
/// async fn orders(caller: Require<ReadOrders>) -> String {
///     format!("the orders of {}", caller.subject().unwrap_or("a machine"))
/// }
/// ```
pub struct Require<P: Permission, C: ?Sized = dyn Any + Send + Sync> {
    token: AccessToken<C>,
    permission: PhantomData<fn() -> P>,
}

impl<P: Permission, C: ?Sized> Require<P, C> {
    /// Demands that a token permits `P`.
    ///
    /// # Errors
    ///
    /// As [`AccessToken::require`], by which this decides.
    pub fn new(token: AccessToken<C>) -> Result<Self, Error> {
        if !needed::<P>().all(|rule| token.permits(rule)) {
            // as a whole, to be told what all of it needs
            token.require(&Rule::of::<P>())?;
        }
        Ok(Self { token, permission: PhantomData })
    }

    /// Returns the token.
    pub fn into_token(self) -> AccessToken<C> {
        self.token
    }
}

impl<P: Permission, C: ?Sized + Send + Sync + 'static> Require<P, C> {
    /// Demands that the token in a request's extensions permits `P`.
    ///
    /// # Errors
    ///
    /// As [`AccessToken::from_extensions`] and [`new`](Self::new).
    pub fn from_extensions(extensions: &http::Extensions) -> Result<Self, Error> {
        Self::new(AccessToken::from_extensions(extensions)?.clone())
    }
}

impl<P: Permission, C: ?Sized> Deref for Require<P, C> {
    type Target = AccessToken<C>;

    fn deref(&self) -> &AccessToken<C> {
        &self.token
    }
}

impl<P: Permission, C: ?Sized> Clone for Require<P, C> {
    fn clone(&self) -> Self {
        Self { token: self.token.clone(), permission: PhantomData }
    }
}

impl<P: Permission, C: ?Sized> fmt::Debug for Require<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Require").field(&self.token).finish()
    }
}
