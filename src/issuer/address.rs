//! An address that is not for every eye.

use std::fmt;

use serde::Deserialize;

/// Where keys are. `Debug` leaves out the query, which may hold a key of some API, and shows
/// nothing where there may be a password.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Address(String);

impl Address {
    pub(super) fn new(address: String) -> Self {
        Self(address)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(['?', '#']) {
            _ if self.0.contains('@') => f.write_str("…"),
            Some((shown, _)) => write!(f, "{shown:?}…"),
            None => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_query_nor_password_is_shown() {
        for (address, shown) in [
            ("https://id.test/keys", "\"https://id.test/keys\""),
            ("https://id.test/keys?api_key=secret", "\"https://id.test/keys\"…"),
            ("https://id.test/keys#secret", "\"https://id.test/keys\"…"),
            ("https://user:secret@id.test/keys", "…"),
            ("https://user:s?cret@id.test/keys", "…"),
            ("https://user:s/cret@id.test/keys", "…"),
            ("?secret", "\"\"…"),
        ] {
            assert_eq!(format!("{:?}", Address::new(address.to_owned())), shown);
        }
    }
}
