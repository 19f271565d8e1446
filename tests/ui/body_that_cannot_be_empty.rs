//! A refusal needs a body. Where none can be made, the order of the layers is most often wrong.

use axum::Router;
use axum::routing::get;
use tower::ServiceBuilder;
use tower_bearer::{BearerAuthLayer, ResourceServer};
use tower_http::trace::TraceLayer;

fn router(server: ResourceServer) -> Router {
    let layers = ServiceBuilder::new().layer(BearerAuthLayer::new(server)).layer(TraceLayer::new_for_http());
    Router::new().route("/", get("hello")).layer(layers)
}

fn main() {}
