//! All services together, on loopback ports.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_bearer::testing::Idp;
use tower_bearer::{Algorithm, Issuer};

use crate::authorizer::{Authorizer, Delegated, FromCustomers, FromReplica, FromToken, Replica};
use crate::bff::{self, Bff};
use crate::customers::{self, Customers, Employee, Grant, Grantee, Numbered};
use crate::domain::{Claims, CustomerId, LocationId, Role};
use crate::iam::{self, Client, Iam, User};
use crate::systems::Systems;
use crate::{guard, statistics, systems};

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How the security-system service decides; see [`authorizer`](crate::authorizer).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Authorization {
    Provide,
    Fetch,
    Replicate,
    Delegate,
}

impl std::str::FromStr for Authorization {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "provide" => Ok(Self::Provide),
            "fetch" => Ok(Self::Fetch),
            "replicate" => Ok(Self::Replicate),
            "delegate" => Ok(Self::Delegate),
            _ => Err(format!("{text} is none of provide, fetch, replicate and delegate")),
        }
    }
}

/// The running system. It ends with this value.
pub struct System {
    /// Where to click.
    pub gateway: String,
    pub issuer: String,
    pub customers: String,
    pub systems: String,
    pub statistics: String,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for System {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// How often the copy follows the customer service's events.
const FOLLOW: Duration = Duration::from_secs(1);

impl System {
    /// Starts everything, with some customers in it.
    pub async fn start(authorization: Authorization) -> Result<Self, Fault> {
        let (iam_at, gateway_at) = (bind().await?, bind().await?);
        let (issuer, gateway) = (address(&iam_at)?, address(&gateway_at)?.replace("127.0.0.1", "localhost"));
        let idp = Idp::with_algorithms(&issuer, &[Algorithm::Rs256]);
        let secret = iam::random();
        let client = |redirect_uri, scopes| Client { secret: secret.clone(), redirect_uri, scopes };
        let clients = HashMap::from([
            ("bff".to_owned(), client(Some(format!("{gateway}/callback")), vec![])),
            ("dashboard".to_owned(), client(None, vec!["stats:read"])),
        ]);
        let iam = Iam::new(idp, users(), clients);
        let mut tasks = vec![serve(iam_at, iam::service(iam.clone()))];

        // each service finds the keys by discovery, as it would anywhere
        let server = guard::server::<()>(Issuer::new(&issuer), |builder| builder)?;
        let customers = Customers::create().await?;
        seed(&customers).await.map_err(|problem| format!("{problem:?}"))?;
        let customers_at = bind().await?;
        let customers_address = address(&customers_at)?;
        tasks.push(serve(customers_at, customers::service(customers, guard::customers(server.clone())?)));

        let replica = Replica::create().await?;
        tasks.push(tokio::spawn(follow(replica.clone(), customers_address.clone(), iam)));
        let authorizer: Arc<dyn Authorizer> = match authorization {
            Authorization::Provide => Arc::new(FromToken),
            Authorization::Fetch => Arc::new(FromCustomers::at(&customers_address)?),
            Authorization::Replicate => Arc::new(FromReplica(replica)),
            Authorization::Delegate => Arc::new(Delegated::new(replica)?),
        };
        let storage = Systems::create(authorizer).await?;
        for location in [1, 1, 2, 3] {
            storage.add(LocationId(location)).await.map_err(|problem| format!("{problem:?}"))?;
        }
        let typed = guard::server::<Claims>(Issuer::new(&issuer), |builder| builder)?;
        let systems_at = bind().await?;
        let systems_address = address(&systems_at)?;
        tasks.push(serve(systems_at, systems::service(storage.clone(), guard::systems(typed)?)));
        let statistics_at = bind().await?;
        let statistics_address = address(&statistics_at)?;
        tasks.push(serve(statistics_at, statistics::service(storage, guard::statistics(server.clone())?)));

        let (to, figures) = (systems_address.clone(), statistics_address.clone());
        let bff = Bff::new(gateway.clone(), issuer.clone(), ("bff", &secret), to, figures)?;
        tasks.push(serve(gateway_at, bff::service(bff, server)?));
        Ok(Self {
            gateway,
            issuer,
            customers: customers_address,
            systems: systems_address,
            statistics: statistics_address,
            tasks,
        })
    }
}

async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}

fn address(listener: &TcpListener) -> std::io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

fn serve(listener: TcpListener, app: Router) -> JoinHandle<()> {
    tokio::spawn(async move {
        // it ends with its task only
        let _ = axum::serve(listener, app).await;
    })
}

/// Two customers: alice manages the first, bob the second.
async fn seed(customers: &Customers) -> Result<(), crate::problem::Problem> {
    let (shop, bank) = (customers.add_customer("shop").await?, customers.add_customer("bank").await?);
    let yard = customers.add_location(shop, "yard").await?;
    let roof = customers.add_location(shop, "roof").await?;
    let vault = customers.add_location(bank, "vault").await?;
    let hire = async |customer: CustomerId, email: &str, teams: &[&str], manager: bool| {
        let teams = teams.iter().map(|team| (*team).to_owned()).collect();
        customers.add_employee(customer, Employee { email: email.to_owned(), teams, manager }).await
    };
    hire(shop, "alice", &[], true).await?;
    hire(shop, "tom", &["night"], false).await?;
    hire(bank, "bob", &[], true).await?;
    let give = async |customer: CustomerId, location: LocationId, grantee: Grantee, role: Role| {
        customers.grant(customer, Grant { location, grantee, role }).await
    };
    let employee = |email: &str| Grantee::Employee(email.to_owned());
    for role in [Role::Viewer, Role::Armer, Role::Disarmer] {
        give(shop, yard, employee("alice"), role).await?;
        give(bank, vault, employee("bob"), role).await?;
    }
    give(shop, roof, employee("alice"), Role::Viewer).await?;
    give(shop, yard, Grantee::Team("night".to_owned()), Role::Armer).await
}

/// Who can sign in, with the roles that [`seed`] gives them.
fn users() -> HashMap<&'static str, User> {
    let employee = |locations| User { roles: vec!["employee"], locations };
    let all = ["viewer", "armer", "disarmer"];
    HashMap::from([
        ("root", User { roles: vec!["admin"], locations: json!({}) }),
        ("alice", employee(json!({ "1": all, "2": ["viewer"] }))),
        ("tom", employee(json!({ "1": ["armer"] }))),
        ("bob", employee(json!({ "3": all }))),
        ("guest", User { roles: vec![], locations: json!({}) }),
    ])
}

/// Follows the customer service's events, as a machine; what cannot be had now is asked for again.
async fn follow(replica: Replica, customers: String, iam: Iam) {
    let http = reqwest::Client::new();
    loop {
        let after = replica.last().await.unwrap_or_default();
        let token = iam.machine("systems", "events:read");
        let events = http.get(format!("{customers}/events?after={after}")).bearer_auth(token).send();
        if let Ok(response) = events.await
            && let Ok(text) = response.text().await
            && let Ok(events) = serde_json::from_str::<Vec<Numbered>>(&text)
        {
            let _ = replica.follow(events).await;
        }
        tokio::time::sleep(FOLLOW).await;
    }
}
