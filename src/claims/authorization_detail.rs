//! What a token permits in detail (RFC 9396).

use std::fmt;

use serde::de::DeserializeOwned;

use super::typed::read_value;
use crate::error::Error;
use crate::jose::{Json, Value};

/// One of the `authorization_details` of a token (RFC 9396 §2): what its client may do, in detail;
/// from [`AccessToken::authorization_details`](crate::AccessToken::authorization_details).
///
/// # Security
///
/// What the members mean is the service's to know, and to enforce: those of
/// [`locations`](Self::locations), [`actions`](Self::actions) and the others that are there narrow
/// what is permitted.
#[derive(Clone, Copy)]
pub struct AuthorizationDetail<'t>(Value<'t>);

impl<'t> AuthorizationDetail<'t> {
    /// Finds those of a type. Whatever is not an object with this type in an array permits nothing;
    /// nor does one that is for some places, and does not say for which in a way that is
    /// understood.
    pub(crate) fn of_type<'n>(json: &'t Json, name: &'n str) -> impl Iterator<Item = Self> + use<'t, 'n> {
        let all = json.root().get("authorization_details").filter(|details| details.is_array());
        // an empty name is most often a setting that is missing
        let details = all.into_iter().flat_map(Value::items).map(Self);
        details.filter(move |detail| !name.is_empty() && detail.type_name() == name && detail.is_readable())
    }

    /// Tells whether `locations` is absent, or an array of texts: else it would look like one that
    /// is for all places.
    fn is_readable(self) -> bool {
        let Some(locations) = self.0.get("locations").filter(|value| !value.is_null()) else { return true };
        locations.is_array() && locations.items().all(|location| location.as_str().is_some())
    }

    fn strings(self, name: &str) -> impl Iterator<Item = &'t str> + use<'t> {
        self.0.get(name).into_iter().flat_map(Value::items).filter_map(Value::as_str)
    }

    /// Returns the type (`type`), which says what the other members mean.
    #[must_use]
    pub fn type_name(self) -> &'t str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the resource servers that it is for (`locations`); if there are none, for all that
    /// the token is for.
    pub fn locations(self) -> impl Iterator<Item = &'t str> {
        self.strings("locations")
    }

    /// Returns what may be done (`actions`).
    pub fn actions(self) -> impl Iterator<Item = &'t str> {
        self.strings("actions")
    }

    /// Returns the kinds of data that it is about (`datatypes`).
    pub fn datatypes(self) -> impl Iterator<Item = &'t str> {
        self.strings("datatypes")
    }

    /// Returns the one object that it is about (`identifier`).
    #[must_use]
    pub fn identifier(self) -> Option<&'t str> {
        self.0.get("identifier").and_then(Value::as_str)
    }

    /// Returns the levels of privilege (`privileges`).
    pub fn privileges(self) -> impl Iterator<Item = &'t str> {
        self.strings("privileges")
    }

    /// Reads it into a type of the application's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedClaim`](crate::ErrorKind::MalformedClaim) if it does not fit; the text
    /// names the field and the kind of mismatch, and no value of the token.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        read_value("authorization_details", self.0)
    }
}

impl fmt::Debug for AuthorizationDetail<'_> {
    /// Shows nothing of the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationDetail").finish_non_exhaustive()
    }
}
