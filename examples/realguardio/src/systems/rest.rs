//! The service by REST.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::Systems;
use crate::actor::Actor;
use crate::domain::{Action, LocationId, SecuritySystem, SystemId};
use crate::problem::Problem;

type Answer<T> = Result<Json<T>, Problem>;

/// The routes, unguarded, for a test that each has a rule.
pub fn routes() -> Router<Systems> {
    Router::new()
        .route("/health", get(async || "ok"))
        .route("/systems", get(list).post(create))
        .route("/systems/{system}", get(view))
        .route("/systems/{system}/arm", post(arm))
        .route("/systems/{system}/disarm", post(disarm))
}

#[derive(Deserialize)]
struct New {
    location: LocationId,
}

async fn list(State(systems): State<Systems>, actor: Actor) -> Answer<Vec<SecuritySystem>> {
    Ok(Json(systems.list(&actor).await?))
}

async fn create(State(systems): State<Systems>, Json(new): Json<New>) -> Answer<SecuritySystem> {
    Ok(Json(systems.add(new.location).await?))
}

async fn view(State(systems): State<Systems>, Path(id): Path<SystemId>, actor: Actor) -> Answer<SecuritySystem> {
    Ok(Json(systems.view(&actor, id).await?))
}

async fn arm(State(systems): State<Systems>, Path(id): Path<SystemId>, actor: Actor) -> Answer<SecuritySystem> {
    Ok(Json(systems.switch(&actor, id, Action::Arm).await?))
}

async fn disarm(State(systems): State<Systems>, Path(id): Path<SystemId>, actor: Actor) -> Answer<SecuritySystem> {
    Ok(Json(systems.switch(&actor, id, Action::Disarm).await?))
}
