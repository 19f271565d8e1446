//! The statistics service: figures of what the caller may know of.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Claims};
use crate::guard::{self, Guard};
use crate::problem::Problem;
use crate::systems::Systems;

/// How many security systems there are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Statistics {
    pub systems: usize,
    pub armed: usize,
}

/// The service behind its guard.
pub fn service(systems: Systems, guard: Guard<Claims>) -> Router {
    routes().layer(guard).with_state(systems)
}

/// The routes, unguarded, for a test that each has a rule.
pub fn routes() -> Router<Systems> {
    Router::new().route("/health", get(async || "ok")).route("/statistics", get(count))
}

async fn count(State(systems): State<Systems>, actor: Actor) -> Result<Json<Statistics>, Problem> {
    // the scope says what a client may do; whose data its caller may see, the role does
    let all = actor.token.permits(&guard::audit());
    let counted = if all { systems.all_unchecked().await? } else { systems.list(&actor).await? };
    let armed = counted.iter().filter(|system| system.armed).count();
    Ok(Json(Statistics { systems: counted.len(), armed }))
}
