//! The truth table: who may do what, whatever the service asks and however it is asked. The same rows hold for all four ways to decide.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{Method, StatusCode};
use realguardio::actor::Claims;
use realguardio::authorizer::Replica;
use realguardio::client::Credentials;
use realguardio::customers::{self, Customers, Employee, Grant, Grantee, Numbered};
use realguardio::domain::{CustomerId, LocationId, Role, SystemId};
use realguardio::iam::{self, Iam, Registered};
use realguardio::proto::security_systems_client::SecuritySystemsClient;
use realguardio::proto::{ListRequest, SystemRequest};
use realguardio::system::{Authorization, TokenKind};
use realguardio::systems::Systems;
use realguardio::{bff, guard, statistics, systems};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tower_bearer::keys::Algorithm;
use tower_bearer::testing::{Idp, ManualClock, TokenBuilder, routes_without_rule};
use tower_bearer::{Issuer, ResourceServer};

const WAYS: [Authorization; 4] =
    [Authorization::Provide, Authorization::Fetch, Authorization::Replicate, Authorization::Delegate];

/// What is done: to the first system of two, at the first location of two.
#[derive(Clone, Copy, Debug)]
enum Deed {
    List,
    View,
    Arm,
    Disarm,
    Create,
    Statistics,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Done,
    /// A list of this many systems, or figures about them.
    Listed(usize),
    Unauthenticated,
    /// It takes a fresh sign-in.
    SignIn,
    Forbidden,
    NotFound,
    Unavailable,
}

use Deed::{Arm, Create, Disarm, List, Statistics, View};
use Outcome::{Done, Forbidden, Listed, NotFound, SignIn, Unauthenticated, Unavailable};

const DEEDS: [Deed; 6] = [List, View, Arm, Disarm, Create, Statistics];

/// Who they are, and what becomes of each deed.
#[rustfmt::skip]
const TABLE: [(&str, [Outcome; 6]); 17] = [
    //                       list             view             arm              disarm           create           statistics
    ("admin",               [Listed(2),       Done,            Forbidden,       Forbidden,       Done,            Listed(2)]),
    ("alice, all roles",    [Listed(1),       Done,            Done,            Done,            Forbidden,       Listed(1)]),
    ("alice, an hour ago",  [Listed(1),       Done,            Done,            SignIn,          Forbidden,       Listed(1)]),
    ("alice, some day",     [Listed(1),       Done,            Done,            SignIn,          Forbidden,       Listed(1)]),
    ("vera, viewer",        [Listed(1),       Done,            Forbidden,       Forbidden,       Forbidden,       Listed(1)]),
    ("tom, armer by team",  [Listed(1),       Done,            Done,            Forbidden,       Forbidden,       Listed(1)]),
    ("norm, no role",       [Listed(0),       NotFound,        NotFound,        NotFound,        Forbidden,       Listed(0)]),
    ("bob, other customer", [Listed(1),       NotFound,        NotFound,        NotFound,        Forbidden,       Listed(1)]),
    ("mallory, same team",  [Listed(0),       NotFound,        NotFound,        NotFound,        Forbidden,       Listed(0)]),
    ("night, a team's name",[Listed(0),       NotFound,        NotFound,        NotFound,        Forbidden,       Listed(0)]),
    ("machine",             [Forbidden,       Forbidden,       Forbidden,       Forbidden,       Forbidden,       Listed(2)]),
    ("machine, no scope",   [Forbidden,       Forbidden,       Forbidden,       Forbidden,       Forbidden,       Forbidden]),
    ("machine, no role",    [Forbidden,       Forbidden,       Forbidden,       Forbidden,       Forbidden,       Forbidden]),
    ("auditor, no scope",   [Forbidden,       Forbidden,       Forbidden,       Forbidden,       Forbidden,       Forbidden]),
    ("norm by a client",    [Forbidden,       Forbidden,       Forbidden,       Forbidden,       Forbidden,       Forbidden]),
    ("vera, by a client",   [Listed(1),       Done,            Forbidden,       Forbidden,       Forbidden,       Listed(1)]),
    ("nobody",              [Unauthenticated, Unauthenticated, Unauthenticated, Unauthenticated, Unauthenticated, Unauthenticated]),
];

/// What can be wrong with a token of any of them. It is then nobody's.
#[derive(Clone, Copy, Debug)]
enum Defect {
    Expired,
    NotYetValid,
    WrongAudience,
    /// For the client that the user has signed in at.
    IdToken,
    /// One that names us by mistake.
    IdTokenForUs,
    NoSubject,
    Forged,
    ForgedBySecret,
    Unsigned,
    OtherIssuer,
}

const DEFECTS: [Defect; 10] = [
    Defect::Expired,
    Defect::NotYetValid,
    Defect::WrongAudience,
    Defect::IdToken,
    Defect::IdTokenForUs,
    Defect::NoSubject,
    Defect::Forged,
    Defect::ForgedBySecret,
    Defect::Unsigned,
    Defect::OtherIssuer,
];

/// Those of what a token says, and not of how: an opaque one can have them, too.
const SAID: [Defect; 5] =
    [Defect::Expired, Defect::NotYetValid, Defect::WrongAudience, Defect::NoSubject, Defect::OtherIssuer];

impl Defect {
    fn of(self, token: TokenBuilder) -> TokenBuilder {
        let id_token = |token: TokenBuilder| token.header("typ", "JWT").claim("nonce", "n").without("client_id");
        match self {
            Self::Expired => token.expired(),
            Self::NotYetValid => token.not_yet_valid(),
            Self::WrongAudience => token.audience("https://elsewhere.example"),
            Self::IdToken => id_token(token.audience("gateway")),
            Self::IdTokenForUs => id_token(token),
            Self::NoSubject => token.without("sub"),
            Self::Forged => token.wrong_key(),
            Self::ForgedBySecret => token.secret(Algorithm::Hs256, b"0123456789abcdef0123456789abcdef"),
            Self::Unsigned => token.unsigned(),
            Self::OtherIssuer => token.issuer("https://evil.example/"),
        }
    }
}

/// The three services, which trust a test issuer, and ask it about opaque tokens.
struct World {
    idp: Idp,
    iam: Iam,
    issuer: Issuer,
    clock: ManualClock,
    customers: Customers,
    replica: Replica,
    /// Where the services are.
    systems: String,
    statistics: String,
    customers_at: String,
    first: SystemId,
    http: reqwest::Client,
    /// The roles that the identity service knows, for tokens.
    roles: BTreeMap<&'static str, serde_json::Value>,
    shop: CustomerId,
    storage: Systems,
    customer_service: tokio::task::JoinHandle<()>,
}

async fn serve(app: Router) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, task)
}

/// Tells whether a service asks for a sign-in as recent as it wants it (RFC 9470).
fn asks_for_a_sign_in(challenge: &str) -> bool {
    let recent = format!("max_age=\"{}\"", guard::FRESH.as_secs());
    challenge.contains("insufficient_user_authentication") && challenge.contains(&recent)
}

fn grant(location: LocationId, grantee: Grantee, role: Role) -> Grant {
    Grant { location, grantee, role }
}

/// What a service believes.
fn server<C>(issuer: &Issuer, idp: &Idp, clock: &ManualClock) -> ResourceServer<C>
where
    C: DeserializeOwned + Send + Sync + 'static,
{
    let (trust, clock) = ((issuer.clone(), idp.clone()), Arc::new(clock.clone()));
    guard::server(trust, guard::revocation_list(clock.clone()), clock).unwrap()
}

impl World {
    async fn new(way: Authorization) -> Self {
        Self::with(way, TokenKind::Jwt).await
    }

    async fn with(way: Authorization, tokens: TokenKind) -> Self {
        let (idp, clock) = (Idp::new("https://iam.realguardio.example/"), ManualClock::new());
        let idp = idp.clock(clock.clone());
        let service =
            Registered { secret: "secret".to_owned(), logout_uri: Some(String::new()), ..Registered::default() };
        let clients = HashMap::from([("service".to_owned(), service)]);
        let iam = Iam::new(idp.clone(), HashMap::new(), clients).unwrap();
        let (iam, issuer) = match tokens {
            TokenKind::Jwt => (iam, guard::issuer(idp.issuer())),
            TokenKind::Opaque => {
                let iam = iam.opaque(Arc::new(clock.clone()));
                let (at, _) = serve(iam::service(iam.clone())).await;
                let own = Credentials { id: "service".to_owned(), secret: "secret".to_owned() };
                let introspection = guard::introspection(&own).endpoint(format!("{at}/introspect"));
                (iam, guard::issuer(idp.issuer()).introspection(introspection))
            }
        };
        let customers = Customers::create().await.unwrap();
        let shop = customers.add_customer("shop").await.unwrap();
        let bank = customers.add_customer("bank").await.unwrap();
        let (yard, vault) =
            (customers.add_location(shop, "yard").await.unwrap(), customers.add_location(bank, "vault").await.unwrap());
        for (customer, subject, teams) in [
            (shop, "alice", vec![]),
            (shop, "vera", vec![]),
            (shop, "tom", vec!["night".to_owned()]),
            (shop, "norm", vec![]),
            (bank, "bob", vec![]),
            // the bank has a night shift, too
            (bank, "mallory", vec!["night".to_owned()]),
        ] {
            let manager = ["alice", "bob"].contains(&subject);
            customers.add_employee(customer, Employee { subject: subject.to_owned(), teams, manager }).await.unwrap();
        }
        let employee = |subject: &str| Grantee::Employee(subject.to_owned());
        for role in [Role::Viewer, Role::Armer, Role::Disarmer] {
            customers.grant(shop, grant(yard, employee("alice"), role)).await.unwrap();
            customers.grant(bank, grant(vault, employee("bob"), role)).await.unwrap();
        }
        customers.grant(shop, grant(yard, employee("vera"), Role::Viewer)).await.unwrap();
        customers.grant(shop, grant(yard, Grantee::Team("night".to_owned()), Role::Armer)).await.unwrap();
        let (yard_id, vault_id) = (yard.0.to_string(), vault.0.to_string());
        let roles = BTreeMap::from([
            ("alice", json!({ yard_id.clone(): ["viewer", "armer", "disarmer"] })),
            ("vera", json!({ yard_id.clone(): ["viewer"] })),
            ("tom", json!({ yard_id: ["armer"] })),
            ("bob", json!({ vault_id: ["viewer", "armer", "disarmer"] })),
        ]);

        let server = server(&issuer, &idp, &clock);
        let typed = || self::server::<Claims>(&issuer, &idp, &clock);
        let rules = guard::customers().unwrap();
        let (customers_at, customer_service) =
            serve(customers::service(customers.clone(), guard::guard(server, rules).unwrap())).await;
        let replica = Replica::create().await.unwrap();
        let authorizer = way.authorizer(&customers_at, &replica).unwrap();
        let storage = Systems::create(authorizer).await.unwrap();
        let first = storage.add(yard).await.unwrap().id;
        storage.add(vault).await.unwrap();
        let guarded = systems::service(storage.clone(), guard::guard(typed(), guard::systems().unwrap()).unwrap());
        let (systems, _) = serve(guarded).await;
        let guarded =
            statistics::service(storage.clone(), guard::guard(typed(), guard::statistics().unwrap()).unwrap());
        let (statistics, _) = serve(guarded).await;
        let http = reqwest::Client::new();
        let world = Self {
            idp,
            iam,
            issuer,
            clock,
            customers,
            replica,
            systems,
            statistics,
            customers_at,
            first,
            http,
            roles,
            shop,
            storage,
            customer_service,
        };
        world.follow().await;
        world
    }

    /// Follows the customer service's events, as a machine.
    async fn follow(&self) {
        let after = self.replica.last().await.unwrap();
        let token = self.iam.issue(&self.token("feed").scope("events:read"));
        let events = self
            .http
            .get(format!("{}/events?after={after}", self.customers_at))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(events.status(), 200, "{:?}", events.headers());
        let events: Vec<Numbered> = serde_json::from_str(&events.text().await.unwrap()).unwrap();
        assert!(!events.is_empty());
        self.replica.follow(events).await.unwrap();
    }

    fn token(&self, subject: &str) -> TokenBuilder {
        self.idp.token(subject).audience(guard::AUDIENCE)
    }

    /// A security-system service of its own: with a server that has no keys yet.
    async fn another(&self, storage: Systems) -> String {
        let typed = server::<Claims>(&self.issuer, &self.idp, &self.clock);
        serve(systems::service(storage, guard::guard(typed, guard::systems().unwrap()).unwrap())).await.0
    }

    /// An employee's token, as the identity service issues it.
    fn employee(&self, name: &str) -> String {
        self.signed(name).unwrap()
    }

    /// The token of one of the table's callers, before it is signed.
    fn token_of(&self, who: &str) -> Option<TokenBuilder> {
        let machine = || self.token("dashboard").claim("client_id", "dashboard");
        Some(match who {
            "nobody" => return None,
            "admin" => self.token("root").role("admin"),
            "machine" => machine().scope("stats:read").role("auditor"),
            "machine, no scope" => machine().scope("events:read"),
            "machine, no role" => machine().scope("stats:read"),
            "auditor, no scope" => machine().scope("events:read").role("auditor"),
            // with the dashboard's scope, but not for the dashboard itself
            "norm by a client" => self.token("norm").claim("client_id", "dashboard").scope("stats:read"),
            employee => {
                let name = employee.split(',').next().unwrap();
                let token = self.token(name).role("employee");
                let token = match employee {
                    "alice, some day" => token,
                    "alice, an hour ago" => token.authenticated_before(Duration::from_secs(3600)),
                    _ => token.authenticated_before(Duration::ZERO),
                };
                let token = if employee.ends_with("by a client") { token.scope("stats:read") } else { token };
                match self.roles.get(name) {
                    Some(locations) => token.claim("locations", locations.clone()),
                    None => token,
                }
            }
        })
    }

    /// Their token, as it is presented.
    fn signed(&self, who: &str) -> Option<String> {
        self.token_of(who).map(|token| self.iam.issue(&token))
    }

    /// Does it by REST.
    async fn rest(&self, token: Option<&str>, deed: Deed) -> Outcome {
        let id = self.first.0;
        let (method, path) = match deed {
            List => (Method::GET, "/systems".to_owned()),
            View => (Method::GET, format!("/systems/{id}")),
            Arm => (Method::POST, format!("/systems/{id}/arm")),
            Disarm => (Method::POST, format!("/systems/{id}/disarm")),
            Create => (Method::POST, "/systems".to_owned()),
            Statistics => (Method::GET, "/statistics".to_owned()),
        };
        let origin = if matches!(deed, Statistics) { &self.statistics } else { &self.systems };
        let mut request = self.http.request(method, format!("{origin}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if matches!(deed, Create) {
            request = request.header("content-type", "application/json").body(r#"{"location":99}"#);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        match status {
            StatusCode::OK if matches!(deed, List) => {
                let systems: Vec<serde_json::Value> = serde_json::from_str(&response.text().await.unwrap()).unwrap();
                Listed(systems.len())
            }
            StatusCode::OK if matches!(deed, Statistics) => {
                let figures: statistics::Statistics = serde_json::from_str(&response.text().await.unwrap()).unwrap();
                Listed(figures.systems)
            }
            StatusCode::OK => Done,
            StatusCode::UNAUTHORIZED => {
                let challenge = headers["www-authenticate"].to_str().unwrap();
                if asks_for_a_sign_in(challenge) { SignIn } else { Unauthenticated }
            }
            StatusCode::FORBIDDEN => Forbidden,
            StatusCode::NOT_FOUND => NotFound,
            StatusCode::SERVICE_UNAVAILABLE => Unavailable,
            other => panic!("{other}"),
        }
    }

    async fn grpc(&self) -> SecuritySystemsClient<Channel> {
        SecuritySystemsClient::connect(self.systems.clone()).await.unwrap()
    }

    /// Does it by gRPC, if that has it.
    async fn call(
        &self,
        client: &mut SecuritySystemsClient<Channel>,
        token: Option<&str>,
        deed: Deed,
    ) -> Option<Outcome> {
        fn signed<T>(message: T, token: Option<&str>) -> Request<T> {
            let mut request = Request::new(message);
            if let Some(token) = token {
                request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            request
        }
        let system = || signed(SystemRequest { id: self.first.0 }, token);
        let outcome = match deed {
            List => {
                client.list(signed(ListRequest {}, token)).await.map(|list| Listed(list.into_inner().systems.len()))
            }
            View => client.get(system()).await.map(|_| Done),
            Arm => client.arm(system()).await.map(|_| Done),
            Disarm => client.disarm(system()).await.map(|_| Done),
            Create | Statistics => return None,
        };
        Some(outcome.unwrap_or_else(|status| match status.code() {
            Code::Unauthenticated => match status.metadata().get("www-authenticate") {
                Some(challenge) if asks_for_a_sign_in(challenge.to_str().unwrap()) => SignIn,
                _ => Unauthenticated,
            },
            Code::PermissionDenied => Forbidden,
            Code::NotFound => NotFound,
            Code::Unavailable => Unavailable,
            other => panic!("{other:?}: {}", status.message()),
        }))
    }

    /// Before something is armed it is not, and before it is disarmed it is.
    async fn prepare(&self, deed: Deed) {
        let alice = self.signed("alice");
        let armed = self.storage.all_unchecked().await.unwrap().iter().any(|system| system.armed);
        match deed {
            Arm if armed => assert_eq!(self.rest(alice.as_deref(), Disarm).await, Done),
            Disarm if !armed => assert_eq!(self.rest(alice.as_deref(), Arm).await, Done),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_same_truths_hold_for_every_way_to_decide_by_rest_and_by_grpc() {
    let opaque = [Authorization::Provide, Authorization::Fetch].map(|way| (way, TokenKind::Opaque));
    for (way, tokens) in WAYS.map(|way| (way, TokenKind::Jwt)).into_iter().chain(opaque) {
        let world = World::with(way, tokens).await;
        let mut client = world.grpc().await;
        for (who, outcomes) in TABLE {
            let token = world.signed(who);
            for (deed, expected) in DEEDS.into_iter().zip(outcomes) {
                world.prepare(deed).await;
                if let Some(outcome) = world.call(&mut client, token.as_deref(), deed).await {
                    assert_eq!(outcome, expected, "{way:?}, {tokens:?}, gRPC: {who}, {deed:?}");
                }
                if matches!(deed, Create) && expected == Done {
                    // a system more would be one more to list
                    continue;
                }
                world.prepare(deed).await;
                let outcome = world.rest(token.as_deref(), deed).await;
                assert_eq!(outcome, expected, "{way:?}, {tokens:?}, REST: {who}, {deed:?}");
            }
        }
        let root = world.signed("admin");
        assert_eq!(world.rest(root.as_deref(), Create).await, Done, "{way:?}");
        assert_eq!(world.rest(root.as_deref(), List).await, Listed(3), "{way:?}");
    }
}

#[tokio::test]
async fn a_token_with_a_defect_is_nobodys_whoevers_it_was_and_whatever_is_asked() {
    for (tokens, defects) in [(TokenKind::Jwt, DEFECTS.as_slice()), (TokenKind::Opaque, &SAID)] {
        // whoever decides is never asked
        let world = World::with(Authorization::Provide, tokens).await;
        let mut client = world.grpc().await;
        for who in ["admin", "alice", "bob", "tom", "machine"] {
            for defect in defects {
                let token = world.iam.issue(&defect.of(world.token_of(who).unwrap()));
                for deed in DEEDS {
                    if let Some(outcome) = world.call(&mut client, Some(&token), deed).await {
                        assert_eq!(outcome, Unauthenticated, "{tokens:?}, gRPC: {who}, {defect:?}, {deed:?}");
                    }
                    let outcome = world.rest(Some(&token), deed).await;
                    assert_eq!(outcome, Unauthenticated, "{tokens:?}, REST: {who}, {defect:?}, {deed:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn permission_is_decided_before_the_state_is_looked_at() {
    let world = World::new(Authorization::Replicate).await;
    let (alice, vera) = (world.signed("alice"), world.signed("vera"));
    assert_eq!(world.rest(alice.as_deref(), Arm).await, Done);
    let again = world.http.post(format!("{}/systems/{}/arm", world.systems, world.first.0));
    assert_eq!(again.bearer_auth(alice.unwrap()).send().await.unwrap().status(), 409);
    assert_eq!(world.rest(vera.as_deref(), Arm).await, Forbidden, "and not: it is armed already");
}

#[tokio::test]
async fn what_cannot_be_decided_is_neither_a_yes_nor_a_no() {
    let world = World::new(Authorization::Fetch).await;
    let (alice, root) = (world.signed("alice"), world.signed("admin"));
    assert_eq!(world.rest(alice.as_deref(), View).await, Done);
    world.customer_service.abort();
    tokio::task::yield_now().await;
    let mut client = world.grpc().await;
    for deed in [List, View, Arm, Disarm] {
        assert_eq!(world.rest(alice.as_deref(), deed).await, Unavailable, "{deed:?}");
        assert_eq!(world.call(&mut client, alice.as_deref(), deed).await, Some(Unavailable), "{deed:?}");
    }
    assert_eq!(world.rest(root.as_deref(), View).await, Done, "whose roles are in the token");
    assert_eq!(world.rest(None, View).await, Unauthenticated);
    // a copy that has followed nothing yet knows nothing
    for way in [Authorization::Replicate, Authorization::Delegate] {
        let storage = Systems::create(way.authorizer(&world.customers_at, &Replica::create().await.unwrap()).unwrap());
        let storage = storage.await.unwrap();
        storage.add(LocationId(1)).await.unwrap();
        let address = world.another(storage).await;
        // not even whether there is one
        for system in [1, 99] {
            let view = world.http.get(format!("{address}/systems/{system}")).bearer_auth(alice.as_ref().unwrap());
            assert_eq!(view.send().await.unwrap().status(), 503, "{way:?}, {system}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_none() {
    let world = World::new(Authorization::Provide).await;
    for (status, body) in [(500, "{}"), (403, "{}"), (404, "{}"), (204, "{}"), (302, "{}"), (200, ""), (200, "[]")] {
        let status = StatusCode::from_u16(status).unwrap();
        let (address, _) = serve(Router::new().fallback(async move || (status, body))).await;
        let authorizer = Authorization::Fetch.authorizer(&address, &world.replica).unwrap();
        let storage = Systems::create(authorizer).await.unwrap();
        storage.add(LocationId(1)).await.unwrap();
        let view = world.http.get(format!("{}/systems/1", world.another(storage).await));
        let response = view.bearer_auth(world.employee("alice")).send().await.unwrap();
        assert_eq!(response.status(), 503, "{status} {body}");
    }
}

#[tokio::test]
async fn a_role_that_is_given_counts_at_once_or_when_the_copy_has_followed() {
    for way in [Authorization::Fetch, Authorization::Replicate, Authorization::Delegate] {
        let world = World::new(way).await;
        let norm = world.signed("norm");
        assert_eq!(world.rest(norm.as_deref(), View).await, NotFound, "{way:?}");
        let give = world.http.put(format!("{}/customers/{}/roles", world.customers_at, world.shop.0));
        let body = json!({ "location": 1, "grantee": { "employee": "norm" }, "role": "viewer" }).to_string();
        let give = give.header("content-type", "application/json").body(body);
        assert_eq!(give.bearer_auth(world.employee("alice")).send().await.unwrap().status(), 200);
        if way != Authorization::Fetch {
            assert_eq!(world.rest(norm.as_deref(), View).await, NotFound, "{way:?}");
            world.follow().await;
        }
        assert_eq!(world.rest(norm.as_deref(), View).await, Done, "{way:?}");
    }
}

#[tokio::test]
async fn a_role_that_is_taken_away_is_gone_with_the_role_with_the_employee_and_with_the_team() {
    for way in [Authorization::Fetch, Authorization::Replicate, Authorization::Delegate] {
        let world = World::new(way).await;
        let alice = world.employee("alice");
        let delete = async |path: &str, body: serde_json::Value| {
            let delete = world.http.delete(format!("{}/customers/{}{path}", world.customers_at, world.shop.0));
            let delete = delete.header("content-type", "application/json").body(body.to_string());
            let status = delete.bearer_auth(&alice).send().await.unwrap().status();
            world.follow().await;
            status.as_u16()
        };
        let (vera, tom) = (world.signed("vera"), world.signed("tom"));
        assert_eq!(world.rest(vera.as_deref(), View).await, Done, "{way:?}");
        let role = json!({ "location": 1, "grantee": { "employee": "vera" }, "role": "viewer" });
        assert_eq!(delete("/roles", role).await, 200);
        assert_eq!(world.rest(vera.as_deref(), View).await, NotFound, "{way:?}");
        assert_eq!(world.rest(tom.as_deref(), Arm).await, Done, "{way:?}");
        assert_eq!(delete("/employees/tom", json!(null)).await, 200);
        assert_eq!(world.rest(tom.as_deref(), View).await, NotFound, "{way:?}");
        // who takes away their own
        assert_eq!(delete("/employees/alice", json!(null)).await, 200);
        assert_eq!(world.rest(Some(&alice), View).await, NotFound, "{way:?}");
    }
}

#[tokio::test]
async fn customers_manage_their_own_and_know_of_no_other() {
    let world = World::new(Authorization::Provide).await;
    let (alice, bob, root) = (world.employee("alice"), world.employee("bob"), world.signed("admin").unwrap());
    let ask = async |method: Method, path: &str, token: &str, body: Option<serde_json::Value>| {
        let mut request = world.http.request(method, format!("{}{path}", world.customers_at)).bearer_auth(token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send().await.unwrap().status().as_u16()
    };
    let eve = Some(json!({ "subject": "eve" }));
    // that bob works for another customer is none of alice's business
    assert_eq!(ask(Method::POST, "/customers/1/employees", &alice, Some(json!({ "subject": "bob" }))).await, 200);
    assert_eq!(ask(Method::DELETE, "/customers/1/employees/bob", &alice, None).await, 200);
    assert_eq!(ask(Method::DELETE, "/customers/1/employees/bob", &alice, None).await, 404);
    assert_eq!(ask(Method::DELETE, "/customers/2/employees/bob", &alice, None).await, 404);
    assert_eq!(ask(Method::POST, "/customers", &alice, Some(json!({ "name": "mine" }))).await, 403);
    assert_eq!(ask(Method::POST, "/customers", &root, Some(json!({ "name": "zoo" }))).await, 200);
    assert_eq!(ask(Method::POST, "/customers", &root, Some(json!({ "name": "zoo" }))).await, 409);
    assert_eq!(ask(Method::POST, "/customers/1/employees", &bob, eve.clone()).await, 404);
    assert_eq!(ask(Method::POST, "/customers/99/employees", &bob, eve.clone()).await, 404, "as if it did not exist");
    assert_eq!(ask(Method::POST, "/customers/1/employees", &alice, eve.clone()).await, 200);
    assert_eq!(ask(Method::POST, "/customers/1/employees", &alice, eve).await, 409);
    assert_eq!(ask(Method::POST, "/customers/1/locations", &alice, Some(json!({ "name": "roof" }))).await, 200);
    assert_eq!(ask(Method::POST, "/customers/1/locations", &root, Some(json!({ "name": "roof" }))).await, 403);
    let role = Some(json!({ "location": 2, "grantee": { "employee": "alice" }, "role": "armer" }));
    assert_eq!(ask(Method::PUT, "/customers/1/roles", &alice, role.clone()).await, 404, "at another's location");
    assert_eq!(ask(Method::PUT, "/customers/2/roles", &alice, role).await, 404);
    // who manages nothing cannot give themselves anything, and nobody gives anything to others' people
    let norm = world.employee("norm");
    let mine = |who: &str| Some(json!({ "location": 1, "grantee": { "employee": who }, "role": "disarmer" }));
    assert_eq!(ask(Method::PUT, "/customers/1/roles", &norm, mine("norm")).await, 403);
    assert_eq!(ask(Method::POST, "/customers/1/employees", &norm, Some(json!({ "subject": "x" }))).await, 403);
    assert_eq!(ask(Method::PUT, "/customers/1/roles", &alice, mine("bob")).await, 404);
    assert_eq!(ask(Method::PUT, "/customers/1/roles", &alice, mine("norm")).await, 200);
    assert_eq!(ask(Method::POST, "/customers/1/employees", &alice, Some(json!({ "subject": "" }))).await, 422);
    assert_eq!(ask(Method::GET, "/events", &root, None).await, 403);
    // nor does anybody take anything from others' people
    assert_eq!(ask(Method::DELETE, "/customers/1/roles", &norm, mine("alice")).await, 403);
    assert_eq!(ask(Method::DELETE, "/customers/1/roles", &bob, mine("alice")).await, 404);
    let others = Some(json!({ "location": 2, "grantee": { "employee": "bob" }, "role": "armer" }));
    assert_eq!(ask(Method::DELETE, "/customers/1/roles", &alice, others).await, 200);
    assert_eq!(ask(Method::DELETE, "/customers/1/employees/alice", &norm, None).await, 403);
    world.follow().await;
    for roles in [world.customers.roles("bob").await.unwrap(), world.replica.roles("bob").await.unwrap()] {
        assert!(roles[&LocationId(2)].contains(&Role::Armer));
    }
    for roles in [world.customers.roles("alice").await.unwrap(), world.replica.roles("alice").await.unwrap()] {
        assert!(roles[&LocationId(1)].contains(&Role::Disarmer));
    }
    let names = async |token: &str| {
        let list = world.http.get(format!("{}/customers", world.customers_at)).bearer_auth(token).send().await.unwrap();
        let list: Vec<customers::Customer> = serde_json::from_str(&list.text().await.unwrap()).unwrap();
        list.into_iter().map(|customer| customer.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&root).await, ["shop", "bank", "zoo"]);
    assert_eq!(names(&norm).await, ["shop"]);
    assert_eq!(names(&world.token("nobody").role("employee").sign()).await, [""; 0]);
    assert!(!world.customers.roles("alice").await.unwrap().contains_key(&LocationId(2)));
}

#[tokio::test]
async fn keys_are_rotated_and_the_issuer_goes_down_and_nothing_falls_open() {
    let world = World::new(Authorization::Replicate).await;
    let alice = world.signed("alice");
    assert_eq!(world.rest(alice.as_deref(), View).await, Done);
    world.idp.rotate();
    assert_eq!(world.rest(world.signed("alice").as_deref(), View).await, Done, "signed with the new key");
    world.idp.outage();
    assert_eq!(world.rest(world.signed("alice").as_deref(), View).await, Done, "whose key is known");
    assert_eq!(
        world.rest(Some(&Defect::Expired.of(world.token_of("alice").unwrap()).sign()), View).await,
        Unauthenticated
    );
    assert_eq!(world.rest(None, View).await, Unauthenticated);

    // one that starts while the issuer is down has no keys, and says so
    let cold = world.another(world.storage.clone()).await;
    let view = || world.http.get(format!("{cold}/systems/1"));
    assert_eq!(view().bearer_auth(alice.unwrap()).send().await.unwrap().status(), 503);
    assert_eq!(view().send().await.unwrap().status(), 401);
    assert_eq!(world.http.get(format!("{cold}/health")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn whoever_watches_sees_each_change_until_the_token_expires() {
    let world = World::new(Authorization::Provide).await;
    let token = world.token("alice").role("employee").claim("locations", world.roles["alice"].clone());
    let token = token.expires_in(Duration::from_secs(2)).sign();
    let mut request = Request::new(SystemRequest { id: world.first.0 });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut changes = world.grpc().await.watch(request).await.unwrap().into_inner();
    assert!(!changes.next().await.unwrap().unwrap().armed);
    assert_eq!(world.rest(world.signed("alice").as_deref(), Arm).await, Done);
    assert!(changes.next().await.unwrap().unwrap().armed);
    // past `exp` and the leeway, by the wall clock and by tokio's timers
    world.clock.advance(Duration::from_secs(35));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(35)).await;
    tokio::time::resume();
    let end = changes.next().await.unwrap().unwrap_err();
    assert_eq!((end.code(), end.message()), (Code::Unauthenticated, "the token has expired"));
}

#[tokio::test]
async fn whoever_watches_sees_nothing_more_when_the_role_is_gone() {
    let world = World::new(Authorization::Fetch).await;
    let mut request = Request::new(SystemRequest { id: world.first.0 });
    request.metadata_mut().insert("authorization", format!("Bearer {}", world.employee("vera")).parse().unwrap());
    let mut changes = world.grpc().await.watch(request).await.unwrap().into_inner();
    assert!(!changes.next().await.unwrap().unwrap().armed);
    world
        .customers
        .revoke(world.shop, grant(LocationId(1), Grantee::Employee("vera".to_owned()), Role::Viewer))
        .await
        .unwrap();
    assert_eq!(world.rest(world.signed("alice").as_deref(), Arm).await, Done);
    assert_eq!(changes.next().await.unwrap().unwrap_err().code(), Code::NotFound);
}

#[test]
fn every_route_has_a_rule() {
    assert_eq!(routes_without_rule(&guard::customers().unwrap(), &customers::routes()), [""; 0]);
    assert_eq!(routes_without_rule(&guard::systems().unwrap(), &systems::routes()), [""; 0]);
    assert_eq!(routes_without_rule(&guard::statistics().unwrap(), &statistics::routes()), [""; 0]);
    assert_eq!(routes_without_rule(&bff::rules().unwrap(), &bff::routes()), [""; 0]);
}
