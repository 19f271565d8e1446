//! Roles: no standard says where they are, so a path of member names does.

use crate::jose::{Json, Value};

/// Says where in the claims a token's roles are.
///
/// The default is the claim `roles` (RFC 9068 §2.2.3.1). The value may be an array of strings, one string (one role,
/// spaces and all), or an object, whose member names are then the roles, but for those with the value `false` or `null`.
///
/// # Examples
///
/// ```
/// use tower_bearer::{Issuer, Roles};
///
/// let issuer = Issuer::new("https://id.example.com/realms/shop")
///     .roles(Roles::at(["resource_access", "orders", "roles"]));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Roles {
    path: Vec<Box<str>>,
}

impl Roles {
    /// Reads roles at a path of member names; a name may hold dots, colons and slashes.
    #[must_use]
    pub fn at<I>(path: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self { path: self::path(path) }
    }

    /// Tells whether the path leads nowhere: to the claims as a whole.
    pub(crate) fn is_empty(&self) -> bool {
        self.path.is_empty()
    }

    pub(crate) fn read<'j>(&self, payload: &'j Json) -> impl Iterator<Item = &'j str> {
        payload.root().at(&self.path).into_iter().flat_map(|value| {
            let strings = value.as_str().into_iter().chain(value.items().filter_map(Value::as_str));
            strings.chain(value.members().filter(|(_, value)| !value.is_no()).map(|(name, _)| name))
        })
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self::at(["roles"])
    }
}

pub(super) fn path<I>(path: I) -> Vec<Box<str>>
where
    I: IntoIterator,
    I::Item: Into<String>,
{
    path.into_iter().map(|segment| segment.into().into_boxed_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(roles: &Roles, claims: &str) -> Vec<String> {
        let json = Json::parse_all(claims.as_bytes().to_vec()).unwrap();
        roles.read(&json).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn roles_are_an_arrays_strings_one_string_or_an_objects_names() {
        let default = Roles::default();
        assert_eq!(read(&default, r#"{"roles":["admin","user"]}"#), ["admin", "user"]);
        assert_eq!(read(&default, r#"{"roles":"site admin"}"#), ["site admin"]);
        assert_eq!(read(&default, r#"{"roles":{"admin":{"org":"1"},"user":{}}}"#), ["admin", "user"]);
        assert_eq!(read(&default, r#"{"roles":[1,{"a":1},"user"]}"#), ["user"]);
        assert_eq!(read(&default, r#"{"roles":{"admin":false,"owner":null,"user":true}}"#), ["user"]);
        assert_eq!(read(&default, r#"{"roles":true}"#), [""; 0]);
        assert_eq!(read(&default, "{}"), [""; 0]);
    }

    #[test]
    fn a_path_reaches_into_objects_and_its_names_are_taken_literally() {
        let keycloak = Roles::at(["resource_access", "orders", "roles"]);
        assert_eq!(read(&keycloak, r#"{"resource_access":{"orders":{"roles":["a"]},"other":{"roles":["b"]}}}"#), ["a"]);
        assert_eq!(read(&keycloak, r#"{"resource_access":["orders"]}"#), [""; 0]);
        assert_eq!(read(&Roles::at(["cognito:groups"]), r#"{"cognito:groups":["g"]}"#), ["g"]);
        assert_eq!(read(&Roles::at(["a.b"]), r#"{"a":{"b":["no"]},"a.b":["yes"]}"#), ["yes"]);
    }
}
