//! The security-system service: list, view, arm and disarm, by REST ([`rest`]) and by gRPC ([`grpc`]); create by REST, watch by gRPC. Both end up here.

mod grpc;
mod rest;

use std::sync::Arc;

use axum::Router;
use sqlx::SqlitePool;
use tokio::sync::broadcast;
use tonic::service::Routes;
use tower_bearer::deadline::DeadlineLayer;

pub use self::rest::routes;
use crate::actor::{Actor, Claims};
use crate::authorizer::Authorizer;
use crate::customers::database;
use crate::domain::{Action, LocationId, SecuritySystem, SystemId};
use crate::guard::Guard;
use crate::problem::Problem;
use crate::proto::security_systems_server::SecuritySystemsServer;

const SCHEMA: &str = "
    CREATE TABLE system (id INTEGER PRIMARY KEY, location INTEGER NOT NULL, armed BOOLEAN NOT NULL DEFAULT FALSE);
";

/// The service's own data, and who decides about its callers.
#[derive(Clone)]
pub struct Systems {
    pool: SqlitePool,
    authorizer: Arc<dyn Authorizer>,
    /// Which system has changed; what it is now is read anew.
    changes: broadcast::Sender<SystemId>,
}

impl Systems {
    /// Creates the tables.
    pub async fn create(authorizer: Arc<dyn Authorizer>) -> Result<Self, sqlx::Error> {
        Ok(Self { pool: database(SCHEMA).await?, authorizer, changes: broadcast::Sender::new(64) })
    }

    /// Adds a system, which is not armed.
    pub async fn add(&self, location: LocationId) -> Result<SecuritySystem, Problem> {
        let insert = sqlx::query_as("INSERT INTO system (location) VALUES (?) RETURNING id, location, armed");
        Ok(insert.bind(location).fetch_one(&self.pool).await?)
    }

    /// The systems that the caller may see.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<SecuritySystem>, Problem> {
        let all = self.all_unchecked().await?;
        if actor.is_admin() {
            return Ok(all);
        }
        Ok(self.authorizer.filter(actor, Action::View, &all).await?)
    }

    /// A system, if the caller may see it: to others, it does not exist.
    pub async fn view(&self, actor: &Actor, id: SystemId) -> Result<SecuritySystem, Problem> {
        let found = self.read(id).await?;
        // of one that is not there the same is asked, so that nothing tells the two apart: not even that nobody can answer now
        let nowhere = SecuritySystem { id, location: LocationId(0), armed: false };
        let allowed = actor.is_admin() || self.authorizer.allows(actor, Action::View, found.unwrap_or(nowhere)).await?;
        found.filter(|_| allowed).ok_or(Problem::NotFound)
    }

    /// Arms or disarms a system. Whether the caller may is decided before its state is looked at. An administrator sees systems, and leaves them alone.
    pub async fn switch(&self, actor: &Actor, id: SystemId, action: Action) -> Result<SecuritySystem, Problem> {
        let system = self.view(actor, id).await?;
        if !self.authorizer.allows(actor, action, system).await? {
            return Err(Problem::Forbidden);
        }
        let armed = action == Action::Arm;
        let update =
            sqlx::query_as("UPDATE system SET armed = ?1 WHERE id = ?2 AND armed <> ?1 RETURNING id, location, armed");
        let changed = update.bind(armed).bind(id).fetch_optional(&self.pool).await?;
        let changed: SecuritySystem = changed.ok_or(Problem::Conflict)?;
        // that nobody watches is no error
        let _ = self.changes.send(id);
        Ok(changed)
    }

    async fn read(&self, id: SystemId) -> Result<Option<SecuritySystem>, Problem> {
        let select = sqlx::query_as("SELECT id, location, armed FROM system WHERE id = ?");
        Ok(select.bind(id).fetch_optional(&self.pool).await?)
    }

    /// All systems: for callers whose token alone permits it.
    pub async fn all_unchecked(&self) -> Result<Vec<SecuritySystem>, Problem> {
        Ok(sqlx::query_as("SELECT id, location, armed FROM system ORDER BY id").fetch_all(&self.pool).await?)
    }
}

/// The service behind its guard: both kinds of calls at one address. Streams end with their caller's token.
pub fn service(systems: Systems, guard: Guard<Claims>) -> Router {
    let grpc = Routes::new(SecuritySystemsServer::new(systems.clone())).into_axum_router();
    routes().with_state(systems).merge(grpc).layer(DeadlineLayer::default()).layer(guard)
}
