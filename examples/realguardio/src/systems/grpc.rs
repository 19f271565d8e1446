//! The service by gRPC.

use std::pin::Pin;

use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::Systems;
use crate::actor::Actor;
use crate::domain::{Action, SystemId};
use crate::proto::security_systems_server::SecuritySystems;
use crate::proto::{ListRequest, ListResponse, SecuritySystem, SystemRequest};

impl From<crate::domain::SecuritySystem> for SecuritySystem {
    fn from(system: crate::domain::SecuritySystem) -> Self {
        Self { id: system.id.0, location: system.location.0, armed: system.armed }
    }
}

fn actor<T>(request: &Request<T>) -> Result<Actor, Status> {
    Ok(Actor::from_extensions(request.extensions())?)
}

#[tonic::async_trait]
impl SecuritySystems for Systems {
    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let systems = self.list(&actor(&request)?).await?;
        Ok(Response::new(ListResponse { systems: systems.into_iter().map(Into::into).collect() }))
    }

    async fn get(&self, request: Request<SystemRequest>) -> Result<Response<SecuritySystem>, Status> {
        let system = self.view(&actor(&request)?, SystemId(request.get_ref().id)).await?;
        Ok(Response::new(system.into()))
    }

    async fn arm(&self, request: Request<SystemRequest>) -> Result<Response<SecuritySystem>, Status> {
        let system = self.switch(&actor(&request)?, SystemId(request.get_ref().id), Action::Arm).await?;
        Ok(Response::new(system.into()))
    }

    async fn disarm(&self, request: Request<SystemRequest>) -> Result<Response<SecuritySystem>, Status> {
        let system = self.switch(&actor(&request)?, SystemId(request.get_ref().id), Action::Disarm).await?;
        Ok(Response::new(system.into()))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<SecuritySystem, Status>> + Send>>;

    /// The present state, and each change, for as long as the caller may see it. The layer ends it when the caller's token expires.
    async fn watch(&self, request: Request<SystemRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (actor, changes) = (actor(&request)?, BroadcastStream::new(self.changes.subscribe()));
        let now = self.view(&actor, SystemId(request.get_ref().id)).await?;
        // who is too slow may have missed this one's
        let changes = changes.filter(move |change| change.as_ref().map_or(true, |id| *id == now.id));
        let systems = self.clone();
        let states = changes.then(move |_| {
            let (systems, actor) = (systems.clone(), actor.clone());
            async move { systems.view(&actor, now.id).await }
        });
        let states = tokio_stream::once(Ok(now)).chain(states);
        Ok(Response::new(Box::pin(states.map(|state| Ok(state?.into())))))
    }
}
