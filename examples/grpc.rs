//! The layer in front of a tonic server, and what a client sees.
//!
//! `cargo run --example grpc` ends by itself.

#[path = "../tests/support/orders.rs"]
mod orders;

use orders::orders_client::OrdersClient;
use orders::orders_server::{Orders, OrdersServer};
use orders::{Order, PlaceRequest, WatchRequest};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tower_bearer::testing::Idp;
use tower_bearer::tonic::RequestExt;
use tower_bearer::{BearerAuthLayer, ResourceServer, permissions};

const AUDIENCE: &str = "https://orders.example.com";

permissions! {
    /// May place orders.
    pub PlaceOrders = scope("orders:write");
}

struct Shop;

#[tonic::async_trait]
impl Orders for Shop {
    async fn place(&self, request: Request<PlaceRequest>) -> Result<Response<Order>, Status> {
        let buyer = request.require::<PlaceOrders>()?.subject().unwrap_or("a machine").to_owned();
        Ok(Response::new(Order { id: 1, item: request.into_inner().item, buyer }))
    }

    type WatchStream = tokio_stream::Once<Result<Order, Status>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let order = Order { id: request.get_ref().id, ..Order::default() };
        Ok(Response::new(tokio_stream::once(Ok(order))))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let idp = Idp::new("https://id.example.com/").audience(AUDIENCE);
    let server = ResourceServer::new(AUDIENCE).trust(&idp).build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let serving = Server::builder().layer(BearerAuthLayer::new(server)).add_service(OrdersServer::new(Shop));
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));

    let mut client = OrdersClient::connect(address).await?;
    let rows = [
        ("no token", None, Code::Unauthenticated),
        ("an expired token", Some(idp.token("alice").expired().sign()), Code::Unauthenticated),
        ("a token without the scope", Some(idp.token("alice").sign()), Code::PermissionDenied),
        ("a token with the scope", Some(idp.token("alice").scope("orders:write").sign()), Code::Ok),
    ];
    for (what, token, expected) in rows {
        let mut request = Request::new(PlaceRequest { item: "a lamp".to_owned() });
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        }
        let (code, answer) = match client.place(request).await {
            Ok(order) => (Code::Ok, format!("{:?}", order.into_inner())),
            Err(status) => (status.code(), status.message().to_owned()),
        };
        println!("{what:<26} {:<18} {answer}", format!("{code:?}"));
        if code != expected {
            return Err(format!("{what}: expected {expected:?}").into());
        }
    }
    Ok(())
}
