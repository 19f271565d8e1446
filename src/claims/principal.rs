//! Whether a user or a client calls: no standard says how to tell, but most providers' tokens do.

use crate::jose::Json;

/// Who calls, as far as the token tells; from
/// [`AccessToken::principal`](crate::AccessToken::principal).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Principal {
    /// A person, by way of a client.
    User,
    /// A client for itself: a service, a job, a workload.
    Client,
    /// The token does not tell, or contradicts itself.
    Unknown,
}

/// By what an issuer's tokens tell users and clients apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Principals {
    pub(crate) users: &'static [Mark],
    pub(crate) clients: &'static [Mark],
}

/// Something about a token that tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    Always,
    Has(&'static str),
    Lacks(&'static str),
    Is(&'static str, &'static str),
    BeginsWith(&'static str, &'static str),
    Contains(&'static str, char),
    EndsWith(&'static str, &'static str),
    /// `sub` is the client, or there is a client and no `sub` (RFC 9068 §5).
    ClientIsSubject,
    /// Both are there, and differ.
    ClientIsNotSubject,
}

impl Principals {
    /// RFC 9068 §2.2: `sub` is the resource owner, or else the client.
    pub(crate) const RFC9068: Self = Self { users: &[Mark::ClientIsNotSubject], clients: &[Mark::ClientIsSubject] };

    /// Tells who calls with a token that was issued to this client.
    pub(crate) fn tell(self, payload: &Json, client: Option<&str>) -> Principal {
        let holds = |marks: &[Mark]| marks.iter().any(|mark| mark.holds(payload, client));
        match (holds(self.users), holds(self.clients)) {
            (true, false) => Principal::User,
            (false, true) => Principal::Client,
            _ => Principal::Unknown,
        }
    }
}

/// What holds of every issuer, unless more is known.
impl Default for Principals {
    fn default() -> Self {
        Self { users: &[], clients: &[Mark::ClientIsSubject] }
    }
}

impl Mark {
    fn holds(self, payload: &Json, client: Option<&str>) -> bool {
        // an empty string names nobody
        let text = |name| payload.root().get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
        let client = client.filter(|client| !client.is_empty());
        match self {
            Self::Always => true,
            Self::Has(name) => text(name).is_some(),
            Self::Lacks(name) => text(name).is_none(),
            Self::Is(name, value) => text(name) == Some(value),
            Self::BeginsWith(name, prefix) => text(name).is_some_and(|text| text.starts_with(prefix)),
            Self::Contains(name, char) => text(name).is_some_and(|text| text.contains(char)),
            Self::EndsWith(name, suffix) => text(name).is_some_and(|text| text.ends_with(suffix)),
            Self::ClientIsSubject => client.is_some() && text("sub").is_none_or(|subject| Some(subject) == client),
            Self::ClientIsNotSubject => client.is_some() && text("sub").is_some_and(|subject| Some(subject) != client),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_calls_is_only_said_where_the_token_tells() {
        let tell = |principals: Principals, claims: &str, client| {
            principals.tell(&Json::parse_all(claims.as_bytes().to_vec()).unwrap(), client)
        };
        let (default, profile) = (Principals::default(), Principals::RFC9068);
        for (claims, client, generic, by_profile) in [
            (r#"{"sub":"alice"}"#, Some("web"), Principal::Unknown, Principal::User),
            (r#"{"sub":"web"}"#, Some("web"), Principal::Client, Principal::Client),
            ("{}", Some("web"), Principal::Client, Principal::Client),
            (r#"{"sub":""}"#, Some("web"), Principal::Client, Principal::Client),
            (r#"{"sub":"alice"}"#, None, Principal::Unknown, Principal::Unknown),
            (r#"{"sub":""}"#, Some(""), Principal::Unknown, Principal::Unknown),
            ("{}", None, Principal::Unknown, Principal::Unknown),
        ] {
            assert_eq!(tell(default, claims, client), generic, "{claims} {client:?}");
            assert_eq!(tell(profile, claims, client), by_profile, "{claims} {client:?}");
        }
        let both = Principals { users: &[Mark::Has("uid")], clients: &[Mark::EndsWith("sub", "@clients")] };
        assert_eq!(tell(both, r#"{"uid":"1","sub":"x@clients"}"#, None), Principal::Unknown, "a contradiction");
        assert_eq!(tell(both, r#"{"uid":1,"sub":"x@clients"}"#, None), Principal::Client);
    }
}
