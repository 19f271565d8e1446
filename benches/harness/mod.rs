//! What the benches share: cases that take turns, the token they are given, and the raw signature.

#![allow(dead_code, unused_imports, reason = "each bench uses its own part")]
#![allow(clippy::wildcard_enum_match_arm, reason = "the algorithms of a bench are few")]

mod tokens;

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use futures_util::FutureExt;
use http::{HeaderValue, Request};
use serde_json::Value;
use tokio::time::Instant;
use tower::Service;
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::Idp;

pub(crate) use self::tokens::{keycloak, trusting};

const ROUNDS: usize = 41;
/// A case runs for about this long in each round.
const ROUND: Duration = Duration::from_millis(2);

/// Something that is measured.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) run: Box<dyn FnMut()>,
    /// Nanoseconds per call, by round.
    pub(crate) times: Vec<f64>,
    pub(crate) allocations: u64,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, run: impl FnMut() + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run), times: Vec::new(), allocations: 0 }
    }

    fn time(&mut self, calls: u32) -> f64 {
        let begin = Instant::now();
        for _ in 0..calls {
            (self.run)();
        }
        begin.elapsed().as_nanos() as f64 / f64::from(calls)
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.times)
    }
}

pub(crate) fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

pub(crate) fn range(times: &[f64]) -> (f64, f64) {
    (times.iter().copied().fold(f64::MAX, f64::min), times.iter().copied().fold(f64::MIN, f64::max))
}

pub(crate) fn print(title: &str, cases: &[Case]) {
    println!("\n{title}\n\n| case | median ns | min–max | allocations |\n|---|---|---|---|");
    for case in cases {
        let (min, max) = range(&case.times);
        println!("| {} | {:.0} | {min:.0}–{max:.0} | {} |", case.name, case.median(), case.allocations);
    }
}

/// What one case takes more than another, by round.
pub(crate) fn above(case: &Case, bare: &Case) -> Vec<f64> {
    case.times.iter().zip(&bare.times).map(|(case, bare)| case - bare).collect()
}

pub(crate) fn ratio(these: &[f64], those: &[f64]) -> Vec<f64> {
    these.iter().zip(those).map(|(this, that)| this / that).collect()
}

/// Lets all cases take turns, so that whatever else the machine does falls on each alike.
pub(crate) fn measure<'a>(cases: impl IntoIterator<Item = &'a mut Case>) {
    let mut cases: Vec<&mut Case> = cases.into_iter().collect();
    let calls: Vec<u32> = cases
        .iter_mut()
        .map(|case| {
            case.time(20);
            let once = case.time(20);
            ((ROUND.as_nanos() as f64 / once) as u32).clamp(5, 100_000)
        })
        .collect();
    for case in &mut cases {
        case.allocations = allocation_counter::measure(|| (case.run)()).count_total;
    }
    for _ in 0..ROUNDS {
        for (case, calls) in cases.iter_mut().zip(&calls) {
            let time = case.time(*calls);
            case.times.push(time);
        }
    }
}

/// Calls a service with one request, over and over, to the end of the response; making the request is part of each case,
/// and so of *bare*.
pub(crate) fn calling<S, B>(mut service: S, token: Option<&str>) -> impl FnMut() + use<S, B>
where
    S: Service<Request<B>, Error = Infallible>,
    B: Default,
{
    let header = token.map(|token| HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    move || {
        let mut request = Request::new(B::default());
        if let Some(header) = &header {
            request.headers_mut().insert("authorization", header.clone());
        }
        let response = service.call(request).now_or_never().expect("nothing to wait for");
        black_box(response.unwrap());
    }
}

/// A token taken apart, with the key that has signed it.
pub(crate) struct Signed {
    jwk: Value,
    pub(crate) message: String,
    pub(crate) signature: Vec<u8>,
}

impl Signed {
    pub(crate) fn new(idp: &Idp, algorithm: Algorithm, token: &str) -> Self {
        let jwks = idp.jwks();
        let is_it = |jwk: &&Value| jwk["alg"] == algorithm.name();
        let jwk = jwks["keys"].as_array().unwrap().iter().find(is_it).unwrap().clone();
        let (message, signature) = token.rsplit_once('.').unwrap();
        Self { jwk, message: message.to_owned(), signature: BASE64URL.decode(signature).unwrap() }
    }

    pub(crate) fn member(&self, name: &str) -> Vec<u8> {
        BASE64URL.decode(self.jwk[name].as_str().unwrap()).unwrap()
    }

    pub(crate) fn point(&self) -> Vec<u8> {
        [&[4][..], &self.member("x"), &self.member("y")].concat()
    }
}

/// The verification that nobody can avoid, by the library that the crate uses.
pub(crate) fn raw(idp: &Idp, algorithm: Algorithm, token: &str) -> impl FnMut() + use<> {
    let signed = Signed::new(idp, algorithm, token);
    let rsa = |parameters| {
        RsaPublicKeyComponents { n: signed.member("n"), e: signed.member("e") }.to_parsed_public_key(parameters)
    };
    let key = match algorithm {
        Algorithm::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Ps256 => rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signed.point()),
        Algorithm::Es384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, signed.point()),
        _ => ParsedPublicKey::new(&ED25519, signed.member("x")),
    }
    .unwrap();
    move || key.verify_sig(signed.message.as_bytes(), black_box(&signed.signature)).unwrap()
}
