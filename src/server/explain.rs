//! Why a token is accepted or refused, step by step, for whoever has to find out.

use std::fmt;

use serde::{Serialize, Serializer};

use super::ResourceServer;
use crate::credential::BearerToken;
use crate::error::{Error, ErrorKind};
use crate::jose::{Compact, Header};
use crate::validate::{self, Seen};

/// What is shown of a value at most, in characters.
const MAX_FOUND: usize = 200;

/// What became of a token, and why, step by step; from [`ResourceServer::explain`].
///
/// `Display` is a table with a line for each step. Serialised, it is a list of the steps and the
/// verdict.
///
/// # Security
///
/// It shows claims of the token, some of them unverified: for the terminal of whoever holds the
/// token, and not for logs or callers.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// In the order in which a token is checked. Of the checks of its claims each has its own
    /// outcome, whatever those before it say.
    pub steps: Vec<Step>,
    /// Whether it is accepted.
    pub accepted: bool,
}

/// A step of an [`Explanation`].
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// What is checked.
    pub name: &'static str,
    /// What the token has, as far as it matters here.
    pub found: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a step.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing is wrong with it.
    Passed,
    /// It is why the token is refused, or would be if nothing before it were.
    #[serde(serialize_with = "as_text")]
    Failed(Error),
    /// It was not looked at, because something before it failed.
    Skipped,
}

fn as_text<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

impl<C: Send + Sync + 'static> ResourceServer<C> {
    /// Tells step by step what becomes of a token and why, as [`authenticate`](Self::authenticate)
    /// would decide: to answer "why was my token refused?".
    ///
    /// Keys are fetched if they are needed, as for any token. A token that is bound to its sender is
    /// refused by the last step, since its proof comes with a request.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time: a fetch of keys that it waits for goes on for the others.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_bearer::{ResourceServer, testing::Idp};
    ///
    /// let idp = Idp::new("https://id.test/");
    /// let server = ResourceServer::new("https://api.test").trust(&idp).build()?;
    /// let explanation = server.explain(&idp.token("alice").audience("https://other.test").sign()).await;
    /// println!("{explanation}");
    /// assert!(!explanation.accepted);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn explain(&self, token: &str) -> Explanation {
        // first, so that the issuer is decided on and its keys are there
        let verdict = self.authenticate(token).await;
        let mut steps = Vec::new();
        if self.explain_question(token, &verdict, &mut steps) {
            self.explain_checks(&verdict, &mut steps);
            return Explanation { steps, accepted: verdict.is_ok() };
        }
        let plausible = self.explain_claims(token, &verdict, &mut steps);
        let checked = verdict.as_ref().err().and_then(Error::check);
        let (signature, claims) = match &verdict {
            Ok(_) => (Outcome::Passed, Outcome::Passed),
            // it was verified before it was asked about
            Err(_) if checked.is_some() => (Outcome::Passed, Outcome::Passed),
            Err(error) if is_of_answer(error) => (Outcome::Passed, Outcome::Passed),
            Err(error) if plausible && is_of_sender(error) => (Outcome::Passed, Outcome::Passed),
            Err(error) if !plausible || is_of_time(error) => (Outcome::Skipped, Outcome::Skipped),
            Err(error) if error.kind() == ErrorKind::MalformedClaim => {
                (Outcome::Passed, Outcome::Failed(error.clone()))
            }
            Err(error) => (Outcome::Failed(error.clone()), Outcome::Skipped),
        };
        // the steps are looked at a moment after the verdict: where time has passed a limit in
        // between, the verdict counts
        for step in &mut steps {
            match &verdict {
                Ok(_) => step.outcome = Outcome::Passed,
                Err(error) if error.check().is_some() || is_of_answer(error) => step.outcome = Outcome::Passed,
                Err(error) if is_of_time(error) && step.name == "times" => {
                    step.outcome = Outcome::Failed(error.clone());
                }
                Err(_) => {}
            }
        }
        steps.push(Step { name: "key and signature", found: String::new(), outcome: signature });
        steps.push(Step { name: "claims type", found: std::any::type_name::<C>().to_owned(), outcome: claims });
        if let Some(error) = verdict.as_ref().err().filter(|error| is_of_answer(error)) {
            steps.push(Step { name: INTROSPECTION, found: String::new(), outcome: Outcome::Failed(error.clone()) });
        }
        if let Some(error) = verdict.as_ref().err().filter(|error| plausible && is_of_sender(error)) {
            steps.push(Step { name: SENDER, found: String::new(), outcome: Outcome::Failed(error.clone()) });
        }
        self.explain_checks(&verdict, &mut steps);
        Explanation { steps, accepted: verdict.is_ok() }
    }

    /// Explains a token that its issuer is asked about in place of its keys; returns whether it is
    /// one. What the issuer has answered is not kept, so all that it decides is one step.
    #[cfg(feature = "introspection")]
    fn explain_question<T>(&self, token: &str, verdict: &Result<T, Error>, steps: &mut Vec<Step>) -> bool {
        let engine = self.engine.load();
        let Ok(bearer) = BearerToken::from_bytes(token.as_bytes(), engine.policy.max_token_len) else { return false };
        let Some((form, issuer)) = engine.asked_instead(bearer) else { return false };
        let answered = match verdict {
            Err(error) if error.check().is_none() => Outcome::Failed(error.clone()),
            Ok(_) | Err(_) => Outcome::Passed,
        };
        let passed = |name, found| Step { name, found, outcome: Outcome::Passed };
        steps.push(passed("form", format!("{form} of {} characters", token.len())));
        steps.push(passed("issuer", issuer.to_string()));
        steps.push(Step { name: INTROSPECTION, found: "as its issuer says".to_owned(), outcome: answered });
        true
    }

    #[cfg(not(feature = "introspection"))]
    #[expect(clippy::unused_self, reason = "the same call with and without the feature")]
    fn explain_question<T>(&self, _: &str, _: &Result<T, Error>, _: &mut [Step]) -> bool {
        false
    }

    /// Explains what the checks say, which are asked in their order, as far as the first that does
    /// not say yes.
    fn explain_checks<T>(&self, verdict: &Result<T, Error>, steps: &mut Vec<Step>) {
        let engine = self.engine.load();
        let refused_by = verdict.as_ref().err().and_then(Error::check);
        let mut asked = verdict.is_ok() || refused_by.is_some();
        for name in engine.checks.iter().flat_map(|checks| checks.names()) {
            let outcome = match verdict {
                Err(error) if asked && refused_by == Some(name) => {
                    asked = false;
                    Outcome::Failed(error.clone())
                }
                _ if asked => Outcome::Passed,
                _ => Outcome::Skipped,
            };
            steps.push(Step { name, found: "as the application says".to_owned(), outcome });
        }
    }

    /// Explains all but the signature; returns whether all of that is well.
    fn explain_claims<T>(&self, token: &str, verdict: &Result<T, Error>, steps: &mut Vec<Step>) -> bool {
        let engine = self.engine.load();
        let mut step = |name, found, result: Result<(), Error>| {
            let passed = result.is_ok();
            let outcome = result.map_or_else(Outcome::Failed, |()| Outcome::Passed);
            steps.push(Step { name, found, outcome });
            passed
        };
        let form = BearerToken::from_bytes(token.as_bytes(), engine.policy.max_token_len).and_then(Compact::parse);
        let mut compact = match form {
            Ok(compact) => compact,
            Err(error) => return step("form", format!("{} characters", token.len()), Err(error)),
        };
        let header = Header::of(compact.json.first(), compact.algorithm);
        step("form", short(&format!("a signed JWT with kid {:?}", header.kid().unwrap_or_default())), Ok(()));
        let iss = compact.json.root().get("iss");
        let issuer = show(&vec![("iss".into(), iss)]);
        let Ok(trusted) = engine.select(iss, None) else {
            let unresolved = || Error::from(ErrorKind::UnknownIssuer);
            return step("issuer", issuer, Err(verdict.as_ref().err().cloned().unwrap_or_else(unresolved)));
        };
        step("issuer", issuer, Ok(()));
        let now = engine.policy.clock.now();
        let mut passed = true;
        validate::explain(&mut compact, &trusted.policy, now, |name, seen, result| {
            passed &= step(name, show(&seen), result);
        });
        passed
    }
}

/// The step of what the issuer has said when it was asked.
const INTROSPECTION: &str = "introspection";

fn is_of_answer(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Inactive | ErrorKind::IntrospectionUnavailable)
}

/// The step of what the token's sender has to prove, which is in a request only.
const SENDER: &str = "sender";

fn is_of_sender(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::SenderConstrained | ErrorKind::NotSenderConstrained)
}

fn is_of_time(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Expired | ErrorKind::NotYetValid)
}

/// Cuts a text that is too long to be read.
fn short(text: &str) -> String {
    let cut = text.char_indices().nth(MAX_FOUND).and_then(|(at, _)| text.get(..at));
    cut.map_or_else(|| text.to_owned(), |cut| format!("{cut}…"))
}

/// Writes what a token has under some names.
fn show(found: &Seen<'_>) -> String {
    let there = found.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?.describe())));
    short(&there.collect::<Vec<_>>().join(", "))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { name, found, outcome } in &self.steps {
            let (word, reason) = match outcome {
                Outcome::Passed => ("passed", String::new()),
                Outcome::Failed(error) => ("FAILED", error.to_string()),
                Outcome::Skipped => ("skipped", String::new()),
            };
            let both = if found.is_empty() || reason.is_empty() { "" } else { "; " };
            writeln!(f, "{}", format!("{name:<18} {word:<8} {found}{both}{reason}").trim_end())?;
        }
        f.write_str(if self.accepted { "accepted" } else { "refused" })
    }
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation").field("accepted", &self.accepted).finish_non_exhaustive()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("name", &self.name).field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
