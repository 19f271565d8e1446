//! What some tokens say besides: how their user has signed in, who acts for them, and what is
//! permitted in detail.

use std::time::SystemTime;

use super::AccessToken;
use crate::claims::{Actor, AuthorizationDetail, numeric_date};
use crate::clock::UnixTime;
use crate::jose::Value;

impl<C: ?Sized> AccessToken<C> {
    /// Returns how the user has signed in (`acr`, the authentication context class of RFC 9470 and
    /// OpenID Connect), if the token says so by a string.
    pub fn acr(&self) -> Option<&str> {
        self.claim("acr").and_then(Value::as_str)
    }

    /// Returns the methods by which the user has signed in (`amr`, RFC 8176); nothing that is not a
    /// string.
    pub fn amr(&self) -> impl Iterator<Item = &str> {
        self.claim("amr").into_iter().flat_map(Value::strings)
    }

    /// Returns when the user has signed in (`auth_time`, RFC 9470 §6.1.1), if the token says so.
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.authenticated().and_then(UnixTime::to_system_time)
    }

    /// Returns when the user has signed in; what is no date says nothing.
    pub(crate) fn authenticated(&self) -> Option<UnixTime> {
        self.claim("auth_time").and_then(|value| numeric_date("auth_time", value).ok())
    }

    /// Returns who acts for the subject (`act`, RFC 8693 §4.1), if anybody does: a service, or an
    /// agent, that has exchanged the subject's token for this one.
    ///
    /// ```
    /// use tower_bearer::AccessToken;
    ///
    /// fn who(token: &AccessToken) -> String {
    ///     let user = token.subject().unwrap_or("somebody");
    ///     match token.actor() {
    ///         Some(actor) => format!("{} for {user}", actor.subject().unwrap_or("something")),
    ///         None => user.to_owned(),
    ///     }
    /// }
    /// ```
    ///
    /// See [`only_actors`](crate::Issuer::only_actors) for who may.
    pub fn actor(&self) -> Option<Actor<'_>> {
        Actor::of(self.claim("act"))
    }

    /// Returns what the token permits in detail (`authorization_details`, RFC 9396), of this type.
    ///
    /// What is not an object with this type is left out, and permits nothing; so is one whose
    /// `locations` are not an array of strings. A
    /// [`Rule`](crate::Rule::authorization_details) can demand that there is one.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use tower_bearer::{AccessToken, Error};
    ///
    /// #[derive(Deserialize)]
    /// struct Payment {
    ///     creditor: String,
    /// }
    ///
    /// fn may_pay(token: &AccessToken, creditor: &str) -> Result<bool, Error> {
    ///     for detail in token.authorization_details("payment_initiation") {
    ///         if detail.read::<Payment>()?.creditor == creditor {
    ///             return Ok(true);
    ///         }
    ///     }
    ///     Ok(false)
    /// }
    /// ```
    pub fn authorization_details<'t>(&'t self, type_name: &'t str) -> impl Iterator<Item = AuthorizationDetail<'t>> {
        AuthorizationDetail::of_type(&self.inner.token.json, type_name)
    }
}
