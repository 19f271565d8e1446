//! The statistics service: figures for administrators and machines.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::guard::Guard;
use crate::problem::Problem;
use crate::systems::Systems;

/// How many security systems there are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Statistics {
    pub systems: i64,
    pub armed: i64,
}

/// The service behind its guard.
pub fn service(systems: Systems, guard: Guard) -> Router {
    routes().layer(guard).with_state(systems)
}

/// The routes, unguarded, for a test that each has a rule.
pub fn routes() -> Router<Systems> {
    Router::new().route("/health", get(async || "ok")).route("/statistics", get(count))
}

async fn count(State(systems): State<Systems>) -> Result<Json<Statistics>, Problem> {
    let (systems, armed) = systems.count().await?;
    Ok(Json(Statistics { systems, armed }))
}
