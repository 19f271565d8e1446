//! A router of either axum.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::ServiceExt;

use crate::harness::calling;

#[derive(Clone)]
pub(crate) enum Service {
    Axum(axum::Router),
    Axum07(axum_07::Router),
}

impl Service {
    /// Calls it with this token, over and over.
    pub(crate) fn calling(&self, token: &str) -> Box<dyn FnMut()> {
        match self.clone() {
            Self::Axum(router) => Box::new(calling::<_, axum::body::Body>(router, Some(token))),
            Self::Axum07(router) => Box::new(calling::<_, axum_07::body::Body>(router, Some(token))),
        }
    }

    /// Returns the status of the answer to this token.
    pub(crate) async fn status(&self, token: &str) -> StatusCode {
        match self.clone() {
            Self::Axum(router) => status::<_, axum::body::Body, _>(router, token).await,
            Self::Axum07(router) => status::<_, axum_07::body::Body, _>(router, token).await,
        }
    }

    /// Asks until the keys have come, which some crates fetch on the first request and others in the background.
    pub(crate) async fn ready(&self, token: &str) {
        for _ in 0..100 {
            if self.status(token).await == StatusCode::OK {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("a good token is refused: {}", self.status(token).await);
    }
}

async fn status<S, B, R>(service: S, token: &str) -> StatusCode
where
    S: tower::Service<Request<B>, Response = Response<R>, Error = Infallible>,
    B: Default,
{
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(B::default()).unwrap();
    service.oneshot(request).await.unwrap().status()
}

impl From<axum::Router> for Service {
    fn from(router: axum::Router) -> Self {
        Self::Axum(router)
    }
}

impl From<axum_07::Router> for Service {
    fn from(router: axum_07::Router) -> Self {
        Self::Axum07(router)
    }
}
