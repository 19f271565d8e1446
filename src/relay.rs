//! The caller's token on its way to another service of ours, and nowhere else.
//!
//! A service that calls another one *for its caller* can pass on the token that it was called with.
//! The other service then decides about the same caller. For that, the layer keeps the token's text
//! ([`relayable`](crate::BearerAuthLayer::relayable)), the handler takes it as a
//! [`CallerToken`](crate::relay::CallerToken), and a [`RelayLayer`](crate::relay::RelayLayer) in
//! front of the HTTP client adds it to requests to origins that are listed.
//!
//! The token must be meant for both services: its `aud` names each, or they share one. If it should
//! not be (a token that every service accepts can be used at every service by any of them),
//! exchange it for one that is meant for the other service and can do less (OAuth 2.0 Token
//! Exchange, RFC 8693). [The guide](crate::guide::calls) says what to choose, and has an example.
//!
//! A token that is bound to its sender (DPoP, mutual TLS) is of no use to a relay: the other
//! service would have to see a proof by the caller's own key. It goes out under `Bearer`, and is
//! refused there. Exchange it.
//!
//! # Examples
//!
//! ```
//! use http::Request;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_bearer::relay::{CallerToken, RelayLayer};
//!
//! # fn main() -> Result<(), tower_bearer::ConfigError> {
//! // once: any tower service over `http`, such as hyper-util's client or tonic's channel
//! # let client = service_fn(async |_: Request<String>| Ok::<_, std::io::Error>(http::Response::new(String::new())));
//! let client = RelayLayer::to(["https://customers.internal:8443"])?.layer(client);
//!
//! // in a handler
//! async fn location(caller: CallerToken) -> Request<String> {
//!     let mut request = Request::get("https://customers.internal:8443/locations/7").body(String::new()).expect("a request");
//!     request.extensions_mut().insert(caller);
//!     request
//! }
//! # let _ = (client, location);
//! # Ok(())
//! # }
//! ```
//!
//! With reqwest, prepare the request first, and let its client not follow redirects:
//!
//! ```
//! use tower_bearer::relay::{CallerToken, RelayLayer};
//!
//! async fn location(
//!     client: &reqwest::Client,
//!     relay: &RelayLayer,
//!     caller: &CallerToken,
//! ) -> Result<String, Box<dyn std::error::Error>> {
//!     let mut request = http::Request::get("https://customers.internal:8443/locations/7").body(String::new())?;
//!     relay.prepare(&mut request, Some(caller));
//!     Ok(client.execute(request.try_into()?).await?.text().await?)
//! }
//! ```

mod caller;
mod identity;
mod layer;
mod origin;

pub use self::caller::CallerToken;
pub use self::layer::{Relay, RelayLayer};
