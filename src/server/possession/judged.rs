//! What comes of looking at a sender.

use std::pin::Pin;

use http::{Extensions, HeaderValue};

use crate::error::Error;
use crate::possession::Shown;

/// What was learnt from a proof beside the yes, for the request and the response.
#[derive(Debug)]
pub(crate) struct UsedProof {
    pub(super) seen: SeenProof,
    /// What the client's next proofs are to contain.
    pub(super) renewed: Option<HeaderValue>,
}

/// A proof that this request was let in with. Stands in its extensions, for a layer inside of
/// another: it is the same request, and no replay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SeenProof {
    pub(super) key: [u8; 32],
    pub(super) jti: [u8; 32],
}

impl UsedProof {
    /// Notes in the request's extensions that its proof was used, and returns the nonce that the
    /// response is to have.
    pub(crate) fn enter(self, extensions: &mut Extensions) -> Option<HeaderValue> {
        extensions.insert(self.seen);
        self.renewed
    }
}

/// What a sender has shown, and what else is known of its proof; or why it is refused.
pub(in crate::server) type Judgement = Result<(Shown, Option<Box<UsedProof>>), Error>;

pub(in crate::server) enum Judged {
    Now(Judgement),
    #[cfg_attr(not(feature = "dpop"), expect(dead_code, reason = "only a store of proofs is waited for"))]
    Later(Pin<Box<dyn Future<Output = Judgement> + Send>>),
}
