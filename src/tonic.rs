//! For tonic's methods: [`RequestExt`], errors as [`Status`], and `NamedService` through the
//! layers.

use ::tonic::metadata::MetadataMap;
use ::tonic::server::NamedService;
use ::tonic::{Code, Request, Status};
use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use crate::access_token::AccessToken;
use crate::authz::Permission;
use crate::challenge;
use crate::error::Error;
use crate::reject::Rejection;
use crate::relay::CallerToken;
use crate::require::{Require, RequireRule};
use crate::service::BearerAuth;

/// Gives a method the caller's token.
///
/// # Examples
///
/// ```
/// use tonic::{Request, Response, Status};
/// use tower_bearer::permissions;
/// use tower_bearer::tonic::RequestExt;
///
/// permissions! { pub PlaceOrders = scope("orders:write"); }
///
/// async fn place(request: Request<()>) -> Result<Response<String>, Status> {
///     let buyer = request.require::<PlaceOrders>()?;
///     Ok(Response::new(format!("for {}", buyer.subject().unwrap_or("a machine"))))
/// }
/// ```
pub trait RequestExt: sealed::Sealed {
    /// Returns the verified token.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` if the layer is optional and the caller is anonymous; `INTERNAL` if no
    /// layer is in front of the service.
    fn access_token(&self) -> Result<&AccessToken, Status>;

    /// Returns the verified token with the application's claims, as chosen with
    /// [`claims`](crate::config::ResourceServerBuilder::claims).
    ///
    /// # Errors
    ///
    /// As [`access_token`](Self::access_token); `INTERNAL` if the layer's server reads other
    /// claims.
    fn typed_access_token<C: Send + Sync + 'static>(&self) -> Result<&AccessToken<C>, Status>;

    /// Returns the token's text, to be passed on.
    ///
    /// # Errors
    ///
    /// As [`access_token`](Self::access_token); `INTERNAL` if the layer is not
    /// [`relayable`](crate::BearerAuthLayer::relayable).
    fn caller_token(&self) -> Result<&CallerToken, Status>;

    /// Demands that the token permits `P`.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` if it does not; `UNAUTHENTICATED` if the user must only sign in again
    /// ([`Rule::acr`](crate::Rule::acr)); else as [`access_token`](Self::access_token).
    fn require<P: Permission>(&self) -> Result<Require<P>, Status>;
}

impl<T> RequestExt for Request<T> {
    fn access_token(&self) -> Result<&AccessToken, Status> {
        AccessToken::from_extensions(self.extensions()).map_err(refuse)
    }

    fn typed_access_token<C: Send + Sync + 'static>(&self) -> Result<&AccessToken<C>, Status> {
        AccessToken::from_extensions(self.extensions()).map_err(refuse)
    }

    fn caller_token(&self) -> Result<&CallerToken, Status> {
        CallerToken::from_extensions(self.extensions()).map_err(refuse)
    }

    fn require<P: Permission>(&self) -> Result<Require<P>, Status> {
        Require::from_extensions(self.extensions()).map_err(refuse)
    }
}

/// Refuses a call, with the same event as everywhere.
fn refuse(error: Error) -> Status {
    Rejection::without_request(error).error().clone().into()
}

mod sealed {
    #[expect(unnameable_types, reason = "that it cannot be named is what seals the trait")]
    pub trait Sealed {}
    impl<T> Sealed for ::tonic::Request<T> {}
}

impl From<Error> for Status {
    /// The caller gets the fixed text of the error's kind, and in the metadata the challenge of a
    /// step-up ([`InsufficientAuthentication`](crate::ErrorKind::InsufficientAuthentication)); the [`Error`] itself is the status's
    /// source.
    fn from(error: Error) -> Self {
        let code = Code::from_i32(challenge::wire(error.kind()).grpc.into());
        let mut metadata = HeaderMap::new();
        for value in challenge::grpc_challenges(&error) {
            metadata.append(WWW_AUTHENTICATE, value);
        }
        challenge::write_for_proofs(&error, &mut metadata);
        let metadata = MetadataMap::from_headers(metadata);
        let mut status = Self::with_metadata(code, error.kind().to_string(), metadata);
        status.set_source(std::sync::Arc::new(error));
        status
    }
}

impl<S: NamedService, C, R> NamedService for BearerAuth<S, C, R> {
    const NAME: &'static str = S::NAME;
}

impl<S: NamedService, R> NamedService for RequireRule<S, R> {
    const NAME: &'static str = S::NAME;
}
