//! Roles: no standard says where they are, so a path of member names does.

use std::collections::HashMap;

use super::path::{Found, Path, Segment};
use crate::jose::{Json, Value};

/// Texts that say no, in any case, with or without white space around them: what JSON and YAML
/// write for it.
const NO: [&str; 6] = ["", "0", "false", "no", "null", "off"];

/// Says where in the claims a token's roles are.
///
/// The default is the claim `roles` (RFC 9068 §2.2.3.1). The value may be
///
/// * an array: each of its strings is a role.
/// * a string: it is one role, spaces and all, unless [`separated_by`](Self::separated_by) says
///   otherwise.
/// * an object: the names of its members are the roles. A role is held if the member's value is
///   `true`, an array or object that is not empty, or a string other than the empty one, `"false"`,
///   `"no"`, `"off"`, `"null"` and `"0"` (in any case). No number holds a role.
///
/// A step into an array leads into each of its objects: `["roles", "name"]` finds `admin` in
/// `{"roles": [{"name": "admin"}]}`.
///
/// # Examples
///
/// ```
/// use tower_bearer::claims::Roles;
/// use tower_bearer::Issuer;
///
/// // those of the realm and those of this client, by the application's own names
/// let roles = Roles::at(["realm_access", "roles"]).and(["resource_access", "orders", "roles"]);
/// let issuer = Issuer::new("https://id.example.com/realms/shop").roles(roles.only_renamed([("shop-admins", "admin")]));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "they do nothing until an issuer gets them"]
pub struct Roles {
    paths: Vec<Path>,
    separator: Option<char>,
    prefix: Box<str>,
    member: Option<Segment>,
    names: HashMap<Box<str>, Vec<Box<str>>>,
    /// Whether roles that have no other name are left out.
    only_named: bool,
}

impl Roles {
    /// Reads roles at a path of at most 8 member names; a name may hold dots, colons and slashes.
    pub fn at(path: impl IntoIterator<Item = impl Into<Segment>>) -> Self {
        Self {
            paths: vec![Path::new(path)],
            separator: None,
            prefix: Box::default(),
            member: None,
            names: HashMap::new(),
            only_named: false,
        }
    }

    /// Reads roles at another path too.
    pub fn and(mut self, path: impl IntoIterator<Item = impl Into<Segment>>) -> Self {
        self.paths.push(Path::new(path));
        self
    }

    /// Takes a string for a list of roles that this character separates; spaces around a role are
    /// left out.
    ///
    /// It holds for all paths, but not within an array's strings.
    pub fn separated_by(mut self, separator: char) -> Self {
        self.separator = Some(separator);
        self
    }

    /// Takes only roles that begin with this, and leaves it out.
    pub fn only_with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into().into();
        self
    }

    /// Takes only the roles that are granted in one organisation, where each role says in which it
    /// is.
    ///
    /// Roles are then the members of an object, and of these only the ones whose value is an object
    /// with this member. The member's value must say yes, as that of a [role](Self) must.
    ///
    /// ```
    /// use tower_bearer::claims::Roles;
    ///
    /// // {"urn:zitadel:iam:org:project:roles": {"admin": {"2417": "acme.example.com"}, "user": {"9031": "other.example.com"}}}
    /// let roles = Roles::at(["urn:zitadel:iam:org:project:roles"]).only_granted_in("2417");
    /// ```
    pub fn only_granted_in(mut self, member: impl Into<Segment>) -> Self {
        self.member = Some(member.into());
        self
    }

    /// Gives roles the application's own names, `(theirs, ours)`; others keep theirs. One of theirs
    /// may have several of ours. With a [prefix](Self::only_with_prefix), theirs is without it.
    ///
    /// # Security
    ///
    /// Whoever can name a role at the issuer can then name it as one of ours, too: where these are
    /// not the same people, use [`only_renamed`](Self::only_renamed).
    pub fn renamed(mut self, names: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        for (theirs, ours) in names {
            self.names.entry(theirs.into().into()).or_default().push(ours.into().into());
        }
        self
    }

    /// Gives roles the application's own names, `(theirs, ours)`, and leaves all others out.
    pub fn only_renamed(mut self, names: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        self.only_named = true;
        self.renamed(names)
    }

    /// Tells whether each path leads somewhere.
    pub(crate) fn is_sound(&self) -> bool {
        self.paths.iter().all(Path::is_sound) && self.member.iter().all(Segment::is_sound)
    }

    /// Returns the roles of a token, in the order of the claims; one that stands in two claims
    /// comes twice.
    pub(crate) fn read<'a>(&'a self, payload: &'a Json) -> impl Iterator<Item = &'a str> {
        // looked up once, however many values there are
        let member = self.member.as_ref().map(|member| member.of(payload));
        let found = self.paths.iter().flat_map(|path| path.follow(payload));
        found.flat_map(move |found| self.of_value(found, member)).flat_map(|role| self.ours(role))
    }

    /// Returns the roles in one value, by the issuer's names.
    fn of_value<'a>(&'a self, found: Found<'a>, member: Option<Option<&'a str>>) -> impl Iterator<Item = &'a str> {
        let granted = move |value: Value<'_>| match member {
            Some(member) => member.and_then(|member| value.get(member)).is_some_and(says_yes),
            None => says_yes(value),
        };
        let names = found.value.members().filter(move |(_, value)| granted(*value)).map(|(name, _)| name);
        // a list does not say in which organisation
        let listed = if member.is_none() { Some(found) } else { None };
        let at = self.separator;
        let text = listed.and_then(Found::sole).into_iter().flat_map(move |text| {
            text.split(move |char| Some(char) == at).map(move |role| if at.is_some() { role.trim() } else { role })
        });
        let strings = listed.into_iter().flat_map(Found::elements);
        text.chain(strings)
            .chain(names)
            .filter_map(|role| role.strip_prefix(&*self.prefix))
            .filter(|role| !role.is_empty())
    }

    /// Returns the application's own names of a role.
    fn ours<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a str> {
        let ours = if self.names.is_empty() { None } else { self.names.get(role) };
        let same = (ours.is_none() && !self.only_named).then_some(role);
        same.into_iter().chain(ours.into_iter().flatten().map(|name| &**name))
    }
}

/// Tells whether the value of an object's member says that the role of this name is held.
fn says_yes(value: Value<'_>) -> bool {
    match value.as_str().map(str::trim) {
        Some(text) => !NO.iter().any(|no| no.eq_ignore_ascii_case(text)),
        None => value.as_bool() == Some(true) || value.items().next().is_some() || value.members().next().is_some(),
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self::at(["roles"])
    }
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
        assert_eq!(read(&default, r#"{"roles":{"admin":{"org":"1"},"user":true}}"#), ["admin", "user"]);
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

    #[test]
    fn a_member_is_a_role_if_its_value_says_yes() {
        let granted = Roles::default().only_granted_in("1");
        for yes in ["true", "\"x\"", "\"true\"", "\"acme.example.com\"", "{\"x\":false}", "[0]", "\"nobody\"", "\"01\""]
        {
            assert_eq!(read(&Roles::default(), &format!(r#"{{"roles":{{"admin":{yes}}}}}"#)), ["admin"], "{yes}");
            assert_eq!(read(&granted, &format!(r#"{{"roles":{{"admin":{{"1":{yes}}}}}}}"#)), ["admin"], "{yes}");
        }
        for no in [
            "false",
            "null",
            "0",
            "1",
            "-1",
            "0.5",
            "1e3",
            "[]",
            "{}",
            r#""""#,
            r#"" ""#,
            r#""false""#,
            r#""False""#,
            r#"" FALSE\n""#,
            r#""no""#,
            r#""No""#,
            r#""off""#,
            r#""null""#,
            r#""0""#,
        ] {
            assert_eq!(read(&Roles::default(), &format!(r#"{{"roles":{{"admin":{no}}}}}"#)), [""; 0], "{no}");
            assert_eq!(read(&granted, &format!(r#"{{"roles":{{"admin":{{"1":{no}}}}}}}"#)), [""; 0], "{no}");
        }
    }

    #[test]
    fn a_path_leads_into_each_object_of_a_list() {
        let names = Roles::at(["roles", "name"]).separated_by(',');
        for (claims, expected) in [
            (r#"{"roles":[{"name":"admin"},{"name":"site admin"}]}"#, &["admin", "site admin"][..]),
            (
                r#"{"roles":[{"name":["a","b"]},{"name":{"c":true,"d":false}},{"id":1},{"name":7},{"name":"e"}]}"#,
                &["a", "b", "c", "e"],
            ),
            // one of several is never a list in itself
            (r#"{"roles":[{"name":"a,b"}]}"#, &["a,b"]),
            (r#"{"roles":{"name":"a,b"}}"#, &["a", "b"]),
            (r#"{"roles":["name",1,null,[{"name":"no"}],{"x":{"name":"no"}}]}"#, &[]),
            (r#"{"roles":[]}"#, &[]),
        ] {
            assert_eq!(read(&names, claims), expected, "{claims}");
        }
        let deep = Roles::at([Segment::from("orgs"), "projects".into(), Segment::value_of("env"), "role".into()]);
        let claims = r#"{"env":"prod","orgs":[{"projects":[{"prod":{"role":"a"}},{"test":{"role":"no"}},{"prod":[{"role":"b"}]}]},
            {"projects":{"prod":{"role":"c"}}},{"projects":[]},{"other":[{"prod":{"role":"no"}}]},{"projects":[{"prod":{"role":"d"}}]}]}"#;
        assert_eq!(read(&deep, claims), ["a", "b", "c", "d"]);
    }

    #[test]
    fn several_paths_are_merged() {
        let roles = Roles::at(["realm_access", "roles"]).and(["resource_access", "orders", "roles"]);
        let claims = r#"{"realm_access":{"roles":["user"]},"resource_access":{"orders":{"roles":["clerk","user"]}}}"#;
        assert_eq!(read(&roles, claims), ["user", "clerk", "user"]);
        assert_eq!(read(&roles, r#"{"resource_access":{"orders":{"roles":["clerk"]}}}"#), ["clerk"]);
    }

    #[test]
    fn a_string_may_be_a_list() {
        let roles = Roles::default().separated_by(',');
        assert_eq!(read(&roles, r#"{"roles":"admin, site admin,,user "}"#), ["admin", "site admin", "user"]);
        assert_eq!(read(&roles, r#"{"roles":["a,b","c"]}"#), ["a,b", "c"]);
        assert_eq!(read(&Roles::default(), r#"{"roles":"a,b"}"#), ["a,b"]);
    }

    #[test]
    fn of_a_tenant_only_its_own_roles_count() {
        let roles = Roles::at([Segment::from("tenants"), Segment::value_of("dct"), "roles".into()]);
        let tenants = r#""tenants":{"T1":{"roles":["admin"]},"T2":{"roles":["owner"]}}"#;
        assert_eq!(read(&roles, &format!(r#"{{"dct":"T1",{tenants}}}"#)), ["admin"]);
        for nowhere in [r#""dct":"T3""#, r#""dct":1"#, r#""dct":null"#, r#""dct":["T1"]"#, r#""x":1"#] {
            assert_eq!(read(&roles, &format!("{{{nowhere},{tenants}}}")), [""; 0], "{nowhere}");
        }
        let claims =
            r#"{"org":"1","roles":{"admin":{"1":"a.test"},"user":{"2":"b.test"},"no":{"1":false},"x":true,"y":"1"}}"#;
        assert_eq!(read(&Roles::default().only_granted_in("1"), claims), ["admin"]);
        assert_eq!(read(&Roles::default().only_granted_in(Segment::value_of("org")), claims), ["admin"]);
        assert_eq!(read(&Roles::default().only_granted_in(Segment::value_of("none")), claims), [""; 0]);
        for listed in [r#"{"roles":["admin"]}"#, r#"{"roles":"admin"}"#] {
            assert_eq!(read(&Roles::default().only_granted_in("1"), listed), [""; 0], "{listed}");
        }
    }

    #[test]
    fn roles_get_the_applications_own_names() {
        let claims = r#"{"roles":["ROLE_ops","ROLE_guest","other"]}"#;
        let prefixed = Roles::default().only_with_prefix("ROLE_");
        assert_eq!(read(&prefixed, claims), ["ops", "guest"]);
        let names = [("ops", "admin"), ("ops", "auditor")];
        assert_eq!(read(&prefixed.clone().renamed(names), claims), ["admin", "auditor", "guest"]);
        assert_eq!(read(&prefixed.only_renamed(names), claims), ["admin", "auditor"]);
        let none: [(&str, &str); 0] = [];
        assert_eq!(read(&Roles::default().only_renamed(none), claims), [""; 0]);
    }
}
