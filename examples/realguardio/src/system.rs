//! All services together, on loopback ports.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_bearer::config::Clock;
use tower_bearer::keys::Algorithm;
use tower_bearer::logout::LogoutReceiver;
use tower_bearer::testing::Idp;
use tower_bearer::{ConfigError, ResourceServer};

use crate::authorizer::{Authorizer, Delegated, FromCustomers, FromReplica, FromToken, Replica};
use crate::bff::{self, Bff};
use crate::client::{self, Client, Credentials};
use crate::customers::{self, Customers, Employee, Grant, Grantee, Numbered};
use crate::domain::{ADMIN, AUDITOR, CustomerId, EMPLOYEE, LocationId, Role};
use crate::iam::{self, Iam, Registered, User};
use crate::systems::Systems;
use crate::{guard, statistics, systems};

pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How the security-system service decides; see [`authorizer`](crate::authorizer).
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Authorization {
    /// by the roles in the token
    Provide,
    /// by asking the customer service, in the caller's name
    Fetch,
    /// by a copy of the customer service's data
    #[default]
    Replicate,
    /// by a policy engine, with that copy for its facts
    Delegate,
}

/// What our identity service issues.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TokenKind {
    /// JWTs, which each service verifies by itself
    #[default]
    Jwt,
    /// texts that say nothing: each service asks the identity service what they stand for
    Opaque,
}

/// What can be chosen.
#[derive(clap::Parser, Clone)]
#[command(about = "A system of services that tower-bearer guards")]
pub struct Options {
    /// How the security-system service decides
    #[arg(long, value_enum, default_value_t)]
    pub authorization: Authorization,
    /// What access tokens are
    #[arg(long, value_enum, default_value_t, conflicts_with = "issuer")]
    pub tokens: TokenKind,
    /// The gateway's port on the loopback address; 0 is any that is free
    #[arg(long, default_value_t)]
    pub port: u16,
    /// An identity service to trust in place of the one that this starts
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// What it knows the gateway by
    #[arg(long, value_name = "ID", default_value = "gateway", requires = "issuer")]
    pub client_id: String,
    /// The gateway's secret, which an issuer demands
    #[arg(long, env = "REALGUARDIO_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET", default_value = "")]
    pub client_secret: String,
    /// What it knows the security-system service by, which follows the customer service's events
    #[arg(long, value_name = "ID", default_value = "systems", requires = "issuer")]
    pub machine_id: String,
    /// That one's secret; replicate and delegate need it
    #[arg(long, env = "REALGUARDIO_MACHINE_SECRET", hide_env_values = true, value_name = "SECRET", default_value = "")]
    pub machine_secret: String,
}

impl Default for Options {
    /// As without any argument, secrets from the environment apart.
    fn default() -> Self {
        clap::Parser::parse_from(["realguardio"])
    }
}

impl Authorization {
    /// Makes what decides, from where the customer service is and the copy of its data.
    pub fn authorizer(self, customers: &str, replica: &Replica) -> Result<Arc<dyn Authorizer>, Fault> {
        Ok(match self {
            Self::Provide => Arc::new(FromToken),
            Self::Fetch => Arc::new(FromCustomers::at(customers)?),
            Self::Replicate => Arc::new(FromReplica(replica.clone())),
            Self::Delegate => Arc::new(Delegated::new(replica.clone())?),
        })
    }

    /// Tells whether it needs the copy.
    fn follows(self) -> bool {
        matches!(self, Self::Replicate | Self::Delegate)
    }
}

/// The running system. It ends with this value.
pub struct System {
    /// Where to click.
    pub gateway: Running,
    pub customers: Running,
    pub systems: Running,
    pub statistics: Running,
    /// The identity service, running and as a value, unless it is another's.
    pub identity: Option<(Running, Iam)>,
    pub issuer: String,
    follower: Option<JoinHandle<()>>,
}

impl Drop for System {
    fn drop(&mut self) {
        self.follower.iter().for_each(JoinHandle::abort);
    }
}

/// A running service.
pub struct Running {
    pub url: String,
    at: SocketAddr,
    app: Router,
    /// Ends it when it is dropped.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    /// Serves on a socket.
    pub fn start(listener: TcpListener, app: Router) -> Result<Self, Fault> {
        let (at, url) = (listener.local_addr()?, url(&listener)?);
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = axum::serve(listener, app.clone()).with_graceful_shutdown(async { drop(stopped.await) });
        let task = tokio::spawn(async { drop(serve.await) });
        Ok(Self { url, at, app, stop: Some(stop), task })
    }

    /// Ends it: nothing listens any more, and no connection waits for a request.
    pub async fn stop(&mut self) {
        self.stop = None;
        // streams that go on are not waited for
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.task).await;
    }

    /// Serves again, at the same address.
    pub async fn resume(&mut self) -> Result<(), Fault> {
        let mut running = Self::start(TcpListener::bind(self.at).await?, self.app.clone())?;
        // under the name that it had
        running.url = std::mem::take(&mut self.url);
        *self = running;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How often the copy follows the customer service's events.
const FOLLOW: Duration = Duration::from_secs(1);

impl System {
    /// Starts everything, with some customers in it. What tokens and sessions say of time is held against this clock.
    pub async fn start(options: Options, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let gateway_at = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let (customers_at, systems_at, statistics_at) = (bind().await?, bind().await?, bind().await?);
        let gateway = url(&gateway_at)?.replace("127.0.0.1", "localhost");
        let redirect = format!("{gateway}/callback");
        let credentials = |id: &str, secret: &str| Credentials { id: id.to_owned(), secret: secret.to_owned() };
        let mut user = credentials(&options.client_id, &options.client_secret);
        let mut machine = credentials(&options.machine_id, &options.machine_secret);
        let other = |id: &str| credentials(id, &iam::random());
        let (directory, figures) = (other("customers"), other("statistics"));
        if options.issuer.is_some() {
            if user.secret.is_empty() {
                return Err(
                    "an identity service must know the gateway as a client: set REALGUARDIO_CLIENT_SECRET".into()
                );
            }
            if machine.secret.is_empty() && options.authorization.follows() {
                let text = "to follow events, a service must be a client too: set REALGUARDIO_MACHINE_SECRET";
                return Err(text.into());
            }
        }
        let (issuer, identity) = match options.issuer {
            Some(issuer) => (issuer, None),
            None => {
                let listener = bind().await?;
                let issuer = url(&listener)?;
                (user.secret, machine.secret) = (iam::random(), iam::random());
                let idp = Idp::with_algorithms(&issuer, &[Algorithm::Rs256]).clock(Arc::clone(&clock));
                let services = [
                    (&user, &gateway_at),
                    (&machine, &systems_at),
                    (&directory, &customers_at),
                    (&figures, &statistics_at),
                ];
                let iam = Iam::new(idp, users(), clients(services, &redirect)?)?;
                let iam = match options.tokens {
                    TokenKind::Jwt => iam,
                    TokenKind::Opaque => iam.opaque(Arc::clone(&clock)),
                };
                (issuer, Some((Running::start(listener, iam::service(iam.clone()))?, iam)))
            }
        };

        let believes = Believes { issuer: &issuer, tokens: options.tokens, clock: &clock };
        let data = Customers::create().await?;
        seed(&data).await.map_err(|problem| format!("{problem:?}"))?;
        let (server, logout) = believes.server(&directory)?;
        let app = customers::service(data, guard::guard(server, guard::customers()?)?);
        let customers = Running::start(customers_at, app.route_service(guard::LOGOUT, logout))?;

        let replica = Replica::create().await?;
        let authorizer = options.authorization.authorizer(&customers.url, &replica)?;
        let storage = Systems::create(authorizer).await?;
        for location in [1, 1, 2, 3] {
            storage.add(LocationId(location)).await.map_err(|problem| format!("{problem:?}"))?;
        }
        let (server, logout) = believes.server(&machine)?;
        let app = systems::service(storage.clone(), guard::guard(server, guard::systems()?)?);
        let systems = Running::start(systems_at, app.route_service(guard::LOGOUT, logout))?;
        let (server, logout) = believes.server(&figures)?;
        let app = statistics::service(storage, guard::guard(server, guard::statistics()?)?);
        let statistics = Running::start(statistics_at, app.route_service(guard::LOGOUT, logout))?;

        let (server, logout) = believes.server(&user)?;
        let user = Client::new(&issuer, user, redirect.clone())?;
        let services = (systems.url.clone(), statistics.url.clone());
        let bff = Bff::new(user, server, services, Arc::clone(&clock))?;
        let mut running = Running::start(gateway_at, bff::service(bff)?.route_service(guard::LOGOUT, logout))?;
        running.url = gateway;
        let machine = Client::new(&issuer, machine, redirect)?;
        let follow = options.authorization.follows().then(|| follow(replica, customers.url.clone(), machine));
        let follower = follow.map(tokio::spawn);
        Ok(Self { gateway: running, customers, systems, statistics, identity, issuer, follower })
    }
}

/// What all services believe.
struct Believes<'s> {
    issuer: &'s str,
    tokens: TokenKind,
    clock: &'s Arc<dyn Clock>,
}

impl Believes<'_> {
    /// What a service needs that is known to the identity service by these credentials: what its layer asks, and what it is told of sign-outs by. Each
    /// finds keys and addresses by discovery, for itself.
    fn server<C>(&self, own: &Credentials) -> Result<(ResourceServer<C>, LogoutReceiver<C>), ConfigError>
    where
        C: DeserializeOwned + Send + Sync + 'static,
    {
        let issuer = guard::issuer(self.issuer);
        let issuer = match self.tokens {
            TokenKind::Jwt => issuer,
            TokenKind::Opaque => issuer.introspection(guard::introspection(own)),
        };
        let revoked = guard::revocation_list(Arc::clone(self.clock));
        let server = guard::server(issuer, revoked.clone(), Arc::clone(self.clock))?;
        Ok((server.clone(), LogoutReceiver::new(server, revoked, &own.id)))
    }
}

async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}

fn url(listener: &TcpListener) -> std::io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Two customers: alice manages the first, bob the second.
async fn seed(customers: &Customers) -> Result<(), crate::problem::Problem> {
    let (shop, bank) = (customers.add_customer("shop").await?, customers.add_customer("bank").await?);
    let yard = customers.add_location(shop, "yard").await?;
    let roof = customers.add_location(shop, "roof").await?;
    let vault = customers.add_location(bank, "vault").await?;
    let hire = async |customer: CustomerId, subject: &str, teams: &[&str], manager: bool| {
        let teams = teams.iter().map(|team| (*team).to_owned()).collect();
        customers.add_employee(customer, Employee { subject: subject.to_owned(), teams, manager }).await
    };
    hire(shop, "alice", &[], true).await?;
    hire(shop, "tom", &["night"], false).await?;
    hire(bank, "bob", &[], true).await?;
    let give = async |customer: CustomerId, location: LocationId, grantee: Grantee, role: Role| {
        customers.grant(customer, Grant { location, grantee, role }).await
    };
    let employee = |subject: &str| Grantee::Employee(subject.to_owned());
    for role in [Role::Viewer, Role::Armer, Role::Disarmer] {
        give(shop, yard, employee("alice"), role).await?;
        give(bank, vault, employee("bob"), role).await?;
    }
    give(shop, roof, employee("alice"), Role::Viewer).await?;
    give(shop, yard, Grantee::Team("night".to_owned()), Role::Armer).await
}

/// Who can sign in, with the roles that [`seed`] gives them.
fn users() -> HashMap<&'static str, User> {
    let employee = |locations| User { roles: vec![EMPLOYEE], locations };
    let all = ["viewer", "armer", "disarmer"];
    HashMap::from([
        ("root", User { roles: vec![ADMIN], locations: json!({}) }),
        ("alice", employee(json!({ "1": all, "2": ["viewer"] }))),
        ("tom", employee(json!({ "1": ["armer"] }))),
        ("bob", employee(json!({ "3": all }))),
        ("guest", User { roles: vec![], locations: json!({}) }),
    ])
}

/// The clients of our identity service: the services, each with where it listens, and a dashboard. Users sign in at the first; the second follows events.
fn clients(
    [gateway, systems, customers, statistics]: [(&Credentials, &TcpListener); 4],
    redirect: &str,
) -> std::io::Result<HashMap<String, Registered>> {
    let service = |(own, at): (&Credentials, _), scopes| {
        let logout_uri = Some(format!("{}{}", url(at)?, guard::LOGOUT));
        let registered = Registered { secret: own.secret.clone(), scopes, logout_uri, ..Registered::default() };
        Ok::<_, std::io::Error>((own.id.clone(), registered))
    };
    let (id, gateway) = service(gateway, vec![])?;
    let gateway = Registered { redirect_uri: Some(redirect.to_owned()), ..gateway };
    let (secret, roles, scopes) = ("realguardio".to_owned(), vec![AUDITOR], vec!["stats:read"]);
    let dashboard = Registered { secret, roles, scopes, ..Registered::default() };
    Ok(HashMap::from([
        (id, gateway),
        service(systems, vec!["events:read"])?,
        service(customers, vec![])?,
        service(statistics, vec![])?,
        ("dashboard".to_owned(), dashboard),
    ]))
}

/// Follows the customer service's events for as long as it runs.
async fn follow(replica: Replica, customers: String, client: Client) {
    let Ok(http) = client::http_client() else { return };
    let mut token = None;
    loop {
        // what cannot be had now is asked for again
        if let Err(error) = follow_once(&replica, &customers, &client, &http, &mut token).await {
            tracing::warn!(error, "the customer service's events");
        }
        tokio::time::sleep(FOLLOW).await;
    }
}

/// Asks for the events since the last one, as a machine with a token of its own. One that is refused is replaced the next time.
async fn follow_once(
    replica: &Replica,
    customers: &str,
    client: &Client,
    http: &reqwest::Client,
    token: &mut Option<String>,
) -> Result<(), Fault> {
    let own = match token {
        Some(token) => token,
        None => token.insert(client.own("events:read").await?.access_token),
    };
    let after = replica.last().await.map_err(|_| "the copy cannot be read")?;
    let events = http.get(format!("{customers}/events?after={after}")).bearer_auth(own).send().await?;
    if events.status() == StatusCode::UNAUTHORIZED {
        *token = None;
    }
    let events: Vec<Numbered> = serde_json::from_slice(&events.error_for_status()?.bytes().await?)?;
    Ok(replica
        .follow(events)
        .await
        .map_err(|_| "the events do not follow on the copy's last one, or it cannot be written")?)
}
