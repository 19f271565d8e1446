//! Revocations, and proofs that were used, which replicas share by a real Redis. It is killed,
//! restarted and paused meanwhile.
//!
//! Left out where `redis-server` is not installed, unless `TOWER_BEARER_INTEROP=all`.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "Redis goes by the system's clock")]

#[path = "../support/program.rs"]
mod program;
mod proofs;
mod server;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use server::{DURABLE, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tower_bearer::logout::LogoutReceiver;
use tower_bearer::revocation::RevocationList;
use tower_bearer::revocation::redis::{RedisError, RedisStore};
use tower_bearer::testing::Idp;
use tower_bearer::{ErrorKind, ResourceServer};

const ISSUER: &str = "https://id.test/";
const NAME: &str = "orders:revoked";
const HOUR: Duration = Duration::from_secs(3600);

/// What is to be known within a second, and what a busy machine adds.
const SOON: Duration = Duration::from_millis(1000 + 1000);

fn left_out() -> bool {
    program::left_out("redis-server")
}

/// One process's part.
struct Replica {
    list: RevocationList,
    redis: RedisStore,
}

impl Replica {
    fn start(url: &str) -> Self {
        Self::with(RevocationList::new(HOUR), url)
    }

    fn with(list: RevocationList, url: &str) -> Self {
        let redis = RedisStore::share(&list, url, NAME).unwrap();
        Self { list, redis }
    }

    async fn ready(url: &str) -> Self {
        Self::start(url).complete().await
    }

    async fn complete(self) -> Self {
        let replica = self;
        timeout(Duration::from_secs(20), replica.redis.ready()).await.expect("it reads the list");
        replica
    }

    fn revoke(&self, id: &str) {
        self.list.revoke_jti(ISSUER, id);
    }

    /// Tells whether the list can tell.
    fn is_complete(&self) -> bool {
        format!("{:?}", self.list).contains("connected: true")
    }

    /// Waits until it says why nothing can be stored.
    async fn says(&self, why: &str) -> RedisError {
        let start = Instant::now();
        loop {
            match self.redis.flush().await {
                Err(error) if error.to_string() == why => return error,
                other => assert!(start.elapsed() < Duration::from_secs(10), "{other:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn knows(&self, other: &Self) -> bool {
        let known: HashSet<_> = self.list.entries().into_iter().collect();
        other.list.entries().iter().all(|entry| known.contains(entry))
    }
}

/// Waits until it is so, but not for longer.
async fn within(limit: Duration, what: &str, is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_revoked_at_one_replica_is_known_at_all_others_and_at_those_that_start_later() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let (a, b) = (Replica::ready(&redis.url()).await, Replica::ready(&redis.url()).await);
    assert!(a.is_complete() && b.list.is_empty());

    a.revoke("1");
    within(SOON, "known at the other", || b.list.len() == 1).await;
    b.list.revoke_session(ISSUER, "s");
    b.list.revoke_subject(ISSUER, "alice", SystemTime::now());
    b.list.revoke_client(ISSUER, "shop", SystemTime::now());
    b.list.revoke_text(ISSUER, "opaque");
    b.redis.flush().await.unwrap();
    within(SOON, "known at the first", || a.list.len() == 5).await;

    let c = Replica::ready(&redis.url()).await;
    assert!(c.list.len() == 5 && c.knows(&a) && c.knows(&b), "at once");
    assert!(!redis.command(&format!("ZRANGE {NAME} 0 -1")).await.contains("alice"), "nobody is named");

    // another list in the same Redis is another list
    let list = RevocationList::new(Duration::from_secs(60));
    let other = RedisStore::share(&list, &redis.url(), "other").unwrap();
    other.ready().await;
    assert!(list.is_empty());
}

/// As a service sees it.
#[tokio::test]
async fn a_revoked_token_is_refused_at_every_replica_and_all_are_while_nobody_can_tell() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let (a, b) = (Replica::ready(&redis.url()).await, Replica::ready(&redis.url()).await);
    let idp = Idp::new(ISSUER);
    let server = |replica: &Replica| {
        let builder = ResourceServer::new("https://api.test").trust(&idp);
        builder.revocation_list(replica.list.clone()).build().unwrap()
    };
    let (at_a, at_b) = (server(&a), server(&b));
    let token = |subject: &str| idp.token(subject).audience("https://api.test").sign();
    let (alices, bobs) = (token("alice"), token("bob"));
    let verified = at_a.authenticate(&alices).await.unwrap();
    for token in [&alices, &bobs] {
        at_b.authenticate(token).await.unwrap();
    }

    assert!(a.list.revoke_token(&verified));
    let start = Instant::now();
    while at_b.authenticate(&alices).await.is_ok() {
        assert!(start.elapsed() < SOON, "known at the other");
        sleep(Duration::from_millis(5)).await;
    }
    let kind = async |token: &str| at_b.authenticate(token).await.err().map(|error| error.kind());
    assert_eq!(kind(&alices).await, Some(ErrorKind::Revoked));
    assert_eq!(kind(&bobs).await, None);

    // the issuer calls one of them when a user signs out
    let carols = idp.token("carol").audience("https://api.test").claim("sid", "s1").sign();
    at_b.authenticate(&carols).await.unwrap();
    let receiver = LogoutReceiver::new(at_a.clone(), a.list.clone(), "shop");
    receiver.receive(&idp.logout_token("shop").claim("sid", "s1").sign()).await.unwrap();
    let start = Instant::now();
    while kind(&carols).await != Some(ErrorKind::Revoked) {
        assert!(start.elapsed() < SOON, "signed out at the other");
        sleep(Duration::from_millis(5)).await;
    }

    redis.pause().await;
    within(SOON, "it cannot tell", || !b.is_complete()).await;
    assert_eq!(kind(&bobs).await, Some(ErrorKind::CheckUnavailable));
    assert_eq!(kind(&alices).await, Some(ErrorKind::Revoked), "that much is known");
    redis.resume().await;
    within(Duration::from_secs(20), "it can tell", || b.is_complete()).await;
    assert_eq!(kind(&bobs).await, None);
}

/// A stream that is open at one replica ends when its token is revoked at another.
#[tokio::test]
async fn open_streams_end_within_a_second_at_every_replica() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let (a, b) = (Replica::ready(&redis.url()).await, Replica::ready(&redis.url()).await);
    let idp = Idp::new(ISSUER);
    let at_b = ResourceServer::new("https://api.test").trust(&idp).revocation_list(b.list.clone()).build().unwrap();
    let token = async |sid: &str| at_b.authenticate(&idp.token("alice").claim("sid", sid).sign()).await.unwrap();
    let mut ends = token("s1").await.deadline();
    let mut stays = token("s2").await.deadline();
    assert!(timeout(Duration::from_millis(50), &mut ends).await.is_err());
    a.list.revoke_session(ISSUER, "s1");
    timeout(SOON, &mut ends).await.expect("it ends");
    assert_eq!(ends.reason(), Some(ErrorKind::Revoked));
    assert!(timeout(Duration::from_millis(50), &mut stays).await.is_err());
}

/// Redis' own clock is right.
#[tokio::test]
async fn a_replica_whose_clock_is_wrong_makes_nobody_forget() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let off = |by: i64| {
        let hours = |hours: i64| HOUR * u32::try_from(hours.abs()).unwrap();
        move || if by < 0 { SystemTime::now() - hours(by) } else { SystemTime::now() + hours(by) }
    };
    let (off_by, right) = (Arc::new(AtomicI64::new(3)), Replica::ready(&redis.url()).await);
    let behind = Replica::with(RevocationList::builder(HOUR).clock(off(-3)).build(), &redis.url()).complete().await;
    behind.revoke("1");
    behind.redis.flush().await.unwrap();
    within(SOON, "known at the other", || right.list.len() == 1).await;
    let until = right.list.entries()[0].until();
    assert!(until >= SystemTime::now() + HOUR, "{until:?}");
    // one that starts with a clock that is ahead, which is then put right
    let clock = {
        let off_by = Arc::clone(&off_by);
        move || off(off_by.load(Ordering::SeqCst))()
    };
    let ahead = Replica::with(RevocationList::builder(HOUR).clock(clock).build(), &redis.url()).complete().await;
    assert_eq!(ahead.list.entries().len(), 1);
    off_by.store(0, Ordering::SeqCst);
    assert_eq!(ahead.list.entries().len(), 1);
}

#[tokio::test]
async fn a_list_that_is_full_revokes_no_newer_tokens_when_it_is_read_again() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let a = Replica::ready(&redis.url()).await;
    for id in 0..10 {
        a.revoke(&id.to_string());
    }
    a.redis.flush().await.unwrap();
    let full = Replica::with(RevocationList::builder(HOUR).capacity(3).build(), &redis.url()).complete().await;
    let before = |list: &RevocationList| {
        let entries = list.entries().into_iter().map(|entry| entry.to_string());
        entries.filter(|entry| entry.starts_with("a.")).collect::<Vec<_>>()
    };
    let first = before(&full.list);
    assert_eq!(first.len(), 1);
    for _ in 0..5 {
        redis.command("CLIENT KILL TYPE pubsub").await;
        full.redis.flush().await.unwrap();
        within(Duration::from_secs(10), "it can tell", || full.is_complete()).await;
        assert_eq!(before(&full.list), first);
    }
    assert_eq!(redis.command(&format!("ZCOUNT {NAME} -inf (inf")).await, ":11\r\n", "nor does the set grow");
}

/// The system's authorities are read from where an environment variable says, so that a process of its own connects.
#[tokio::test]
async fn tls_is_spoken_with_a_certificate_that_is_trusted_and_not_with_another() {
    const SELF: &str = "tls_is_spoken_with_a_certificate_that_is_trusted_and_not_with_another";
    if let Ok(url) = std::env::var("TOWER_BEARER_TEST_REDIS") {
        let (url, why) = url.split_once(' ').unwrap();
        let replica = Replica::start(url);
        if why.is_empty() {
            timeout(Duration::from_secs(20), replica.redis.ready()).await.unwrap();
            replica.revoke("1");
            replica.redis.flush().await.unwrap();
        } else {
            replica.says(why).await;
            assert!(!replica.is_complete());
        }
        return;
    }
    if left_out() || program::left_out("openssl") {
        return;
    }
    let (tls, authority) = RedisServer::with_tls().await;
    let plain = RedisServer::start(&[]).await;
    let at = |host: &str, port: u16| format!("rediss://{host}:{port}");
    let refused = "TLS with Redis fails: its certificate is not trusted, or is of another name";
    for (url, trust, why) in [
        (at("localhost", tls.port), authority.as_path(), ""),
        (at("localhost", tls.port), std::path::Path::new("/etc/ssl/certs/ca-certificates.crt"), refused),
        (at("127.0.0.1", tls.port), authority.as_path(), refused),
        (at("localhost", plain.port), authority.as_path(), "Redis does not answer in time"),
        (format!("redis://localhost:{}", tls.port), authority.as_path(), "the connection to Redis is lost"),
    ] {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        child.args([SELF, "--exact"]).kill_on_drop(true);
        child.env("SSL_CERT_FILE", trust).env_remove("SSL_CERT_DIR");
        child.env("TOWER_BEARER_TEST_REDIS", format!("{url} {why}"));
        let output = timeout(Duration::from_secs(60), child.output()).await.unwrap().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{url} {why}: {told}");
    }
    for url in ["rediss://localhost/#insecure", "rediss://:hunter2@localhost:6380/0#insecure"] {
        let error = RedisStore::share(&RevocationList::new(HOUR), url, NAME).unwrap_err();
        assert_eq!(error.to_string(), "#insecure is refused: Redis' certificate must be one that is trusted");
    }
}

#[tokio::test]
async fn ten_thousand_revocations_at_once_arrive() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let (a, b) = (Replica::ready(&redis.url()).await, Replica::ready(&redis.url()).await);
    for id in 0..10_000 {
        a.revoke(&id.to_string());
    }
    a.redis.flush().await.unwrap();
    within(SOON, "all are known", || b.list.len() == 10_000).await;
    assert!(b.knows(&a) && a.is_complete() && b.is_complete());
    let c = Replica::ready(&redis.url()).await;
    assert!(c.knows(&a));
}

/// More than wait to be taken in: the list is read anew then.
#[tokio::test]
async fn a_storm_of_messages_arrives_one_way_or_the_other() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let a = Replica::ready(&redis.url()).await;
    let until = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 600;
    let commands: Vec<_> = (0..5000)
        .map(|id| format!("j.{id:032x}.-.{until}"))
        .map(|entry| format!("ZADD {NAME} {until} {entry}\r\nPUBLISH {NAME} {entry}"))
        .collect();
    redis.command(&commands.join("\r\n")).await;
    within(Duration::from_secs(10), "all are known", || a.list.len() == 5000).await;
    within(Duration::from_secs(10), "it can tell", || a.is_complete()).await;
}

#[tokio::test]
async fn the_rights_that_are_documented_are_enough() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let rights = "+@connection +subscribe +publish +time +zscan +zscore +zadd +zremrangebyscore";
    assert!(include_str!("../../src/revocation/redis.rs").contains(rights), "as it is written there");
    let user = format!("ACL SETUSER orders on >secret resetchannels ~{NAME} &{NAME} -@all {rights}");
    assert_eq!(redis.command(&user).await, "+OK\r\n");
    let url = format!("redis://orders:secret@127.0.0.1:{}", redis.port);
    let (a, b) = (Replica::ready(&url).await, Replica::ready(&url).await);
    a.revoke("1");
    a.redis.flush().await.unwrap();
    within(SOON, "known at the other", || b.list.len() == 1).await;
    assert!(redis.command("ACL LOG").await.starts_with("*0"), "nothing was refused");

    // less is not
    redis.command("ACL SETUSER orders -zadd").await;
    a.revoke("2");
    assert_eq!(a.redis.flush().await.unwrap_err().to_string(), "Redis refuses: NOPERM");
}

#[tokio::test]
async fn a_service_starts_while_redis_is_down_and_cannot_tell_until_it_is_there() {
    if left_out() {
        return;
    }
    let mut redis = RedisServer::not_yet(&[]).await;
    let a = Replica::start(&redis.url());
    assert!(timeout(Duration::from_millis(300), a.redis.ready()).await.is_err());
    assert!(!a.is_complete());
    a.revoke("1");
    assert_eq!(a.list.len(), 1, "it is revoked here all the same");
    assert_eq!(a.redis.flush().await.unwrap_err().to_string(), "Redis cannot be reached");

    redis.begin().await;
    timeout(Duration::from_secs(20), a.redis.ready()).await.unwrap();
    assert!(a.is_complete());
    a.redis.flush().await.unwrap();
    assert!(Replica::ready(&redis.url()).await.knows(&a));
}

/// Redis dies, and comes back with what it knew, and without.
#[tokio::test]
async fn nothing_is_missed_when_redis_is_killed_and_restarted() {
    if left_out() {
        return;
    }
    for arguments in [DURABLE, &[]] {
        let mut redis = RedisServer::start(arguments).await;
        let (a, b) = (Replica::ready(&redis.url()).await, Replica::ready(&redis.url()).await);
        a.revoke("before");
        a.redis.flush().await.unwrap();
        within(SOON, "known at the other", || b.list.len() == 1).await;

        redis.kill().await;
        within(SOON, "both cannot tell", || !a.is_complete() && !b.is_complete()).await;
        a.revoke("meanwhile");
        b.revoke("there, too");
        assert!(a.redis.flush().await.is_err() && b.redis.flush().await.is_err());
        assert!(a.list.len() == 2 && b.list.len() == 2, "what was known stays known");

        redis.begin().await;
        within(Duration::from_secs(20), "both can tell", || a.is_complete() && b.is_complete()).await;
        within(SOON, "all is known", || a.list.len() == 3 && b.list.len() == 3).await;
        a.redis.flush().await.unwrap();
        b.redis.flush().await.unwrap();
        let c = Replica::ready(&redis.url()).await;
        assert!(c.list.len() == 3, "{arguments:?}: Redis has all again");
    }
}

#[tokio::test]
async fn a_redis_that_stands_still_is_noticed_and_nothing_is_missed_when_it_goes_on() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let (a, b) = (Replica::ready(&redis.url()).await, Replica::ready(&redis.url()).await);
    redis.pause().await;
    a.revoke("1");
    // the connection stands, and nothing comes on it
    within(SOON, "both cannot tell", || !a.is_complete() && !b.is_complete()).await;
    assert!(a.redis.flush().await.is_err());
    redis.resume().await;
    within(Duration::from_secs(20), "both can tell", || a.is_complete() && b.is_complete()).await;
    within(SOON, "it is known", || b.knows(&a)).await;

    // a connection that breaks is made anew before a second is over
    redis.command("CLIENT KILL TYPE pubsub").await;
    a.redis.flush().await.unwrap();
    within(SOON, "both can tell", || a.is_complete() && b.is_complete()).await;
}

/// Revocations and broken connections in every order.
#[tokio::test]
async fn connections_that_break_again_and_again_lose_nothing() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let (a, b) = (Replica::ready(&redis.url()).await, Replica::ready(&redis.url()).await);
    for id in 0..200 {
        let by = if id % 3 == 0 { &b } else { &a };
        by.revoke(&id.to_string());
        if id % 10 == 0 {
            redis.command("CLIENT KILL TYPE pubsub").await;
            redis.command("CLIENT KILL TYPE normal SKIPME yes").await;
        }
        sleep(Duration::from_millis(id % 7)).await;
    }
    within(Duration::from_secs(10), "all are known", || a.list.len() == 200 && b.list.len() == 200).await;
    a.redis.flush().await.unwrap();
    b.redis.flush().await.unwrap();
    assert!(Replica::ready(&redis.url()).await.list.len() == 200);
}

#[tokio::test]
async fn what_redis_refuses_to_write_is_reported_told_to_the_others_and_written_later() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let (a, b) = (Replica::ready(&redis.url()).await, Replica::ready(&redis.url()).await);
    let entries = format!("ZCOUNT {NAME} -inf (inf");
    redis.command("CONFIG SET min-replicas-to-write 1").await;
    a.revoke("1");
    assert_eq!(a.redis.flush().await.unwrap_err().to_string(), "Redis refuses: NOREPLICAS");
    assert_eq!(a.list.len(), 1);
    within(SOON, "known at the other all the same", || b.list.len() == 1).await;
    assert!(a.is_complete() && b.is_complete(), "each knows what the other does");
    assert_eq!(redis.command(&entries).await, ":0\r\n");
    redis.command("CONFIG SET min-replicas-to-write 0").await;
    a.redis.flush().await.unwrap();
    assert_eq!(redis.command(&entries).await, ":1\r\n");
}

#[tokio::test]
async fn what_is_no_revocation_is_not_passed_over() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let a = Replica::ready(&redis.url()).await;
    // a message ends the connection, and the list is read anew
    redis.command(&format!("PUBLISH {NAME} nonsense")).await;
    redis.command(&format!("ZADD {NAME} 1 nonsense")).await;
    within(SOON, "it cannot tell", || !a.is_complete()).await;
    a.says("what Redis has under the name of the list is no revocation").await;
    redis.command(&format!("DEL {NAME}")).await;
    within(Duration::from_secs(20), "it can tell", || a.is_complete()).await;
    // nor is it if it is no set
    redis.command(&format!("SET {NAME} 1")).await;
    let b = Replica::start(&redis.url());
    b.says("Redis refuses: WRONGTYPE").await;
    assert!(!b.is_complete());
}

/// A runtime may live, and nobody drive it.
#[test]
fn a_list_whose_store_is_not_driven_cannot_tell() {
    if left_out() {
        return;
    }
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (driven, idle) = (runtime(), runtime());
    let redis = driven.block_on(RedisServer::start(&[]));
    let a = idle.block_on(Replica::ready(&redis.url()));
    assert!(a.is_complete());
    driven.block_on(within(SOON, "it cannot tell", || !a.is_complete()));
    idle.block_on(within(Duration::from_secs(10), "it can tell", || a.is_complete()));
}

/// Else the one would say that nothing is missing while the other is cut off.
#[tokio::test]
async fn a_list_has_one_store() {
    let list = RevocationList::new(Duration::from_secs(60));
    let store = RedisStore::share(&list, "redis://127.0.0.1:1/", NAME).unwrap();
    let error = RedisStore::share(&list, "redis://127.0.0.1:2/", NAME).unwrap_err();
    assert_eq!(error.to_string(), "the revocation list is shared by another store already");
    drop(store);
    let _next = RedisStore::share(&list, "redis://127.0.0.1:2/", NAME).unwrap();
}

#[tokio::test]
async fn connections_that_end_at_once_are_not_made_anew_at_once() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let a = Replica::ready(&redis.url()).await;
    let mut told = 0;
    for _ in 0..100 {
        // how many connections were told, each of which ends by it
        let answer = redis.command(&format!("PUBLISH {NAME} nonsense")).await;
        told += usize::from(answer == ":1\r\n");
        sleep(Duration::from_millis(10)).await;
    }
    assert!((1..=10).contains(&told), "{told}");
    within(Duration::from_secs(20), "it can tell", || a.is_complete()).await;
}

#[tokio::test]
async fn a_list_that_is_not_shared_any_more_cannot_tell() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let Replica { list, redis: store } = Replica::ready(&redis.url()).await;
    drop(store);
    within(SOON, "it cannot tell", || format!("{list:?}").contains("connected: false")).await;
    // and may be shared again
    let _again = RedisStore::share(&list, &redis.url(), NAME).unwrap();
    within(Duration::from_secs(20), "it can tell", || format!("{list:?}").contains("connected: true")).await;
}

#[tokio::test]
async fn a_set_that_was_emptied_is_written_again() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let a = Replica::ready(&redis.url()).await;
    for id in 0..1000 {
        a.revoke(&id.to_string());
    }
    a.redis.flush().await.unwrap();
    redis.command("FLUSHALL").await;
    // it marks the empty set as its own, and that is noticed, too
    let b = Replica::ready(&redis.url()).await;
    within(SOON, "it is told all", || b.list.len() == 1000).await;
    assert!(a.is_complete() && b.is_complete());
    let c = Replica::ready(&redis.url()).await;
    assert!(c.knows(&a));
    assert_eq!(redis.command(&format!("ZCOUNT {NAME} inf inf")).await, ":1\r\n", "one mark");
}

#[tokio::test]
async fn entries_are_swept_from_redis_when_they_have_expired() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&[]).await;
    let old = "j.00112233445566778899aabbccddeeff.-.1790000000";
    redis.command(&format!("ZADD {NAME} 1790000000 {old}")).await;
    let a = Replica::ready(&redis.url()).await;
    assert!(a.list.is_empty(), "it has expired");
    let start = Instant::now();
    while redis.command(&format!("ZCOUNT {NAME} -inf (inf")).await != ":0\r\n" {
        assert!(start.elapsed() < SOON, "it is swept");
    }
}

/// Also by the errors of a Redis that repeats what it does not understand.
#[tokio::test]
async fn the_password_is_told_to_redis_and_to_nobody_else() {
    if left_out() {
        return;
    }
    let redis = RedisServer::start(&["--requirepass", "hunter%2"]).await;
    let with = |password: &str| format!("redis://:{password}@127.0.0.1:{}", redis.port);
    let a = Replica::ready(&with("hunter%252")).await;
    assert!(a.is_complete());
    for (url, why) in [(redis.url(), "Redis refuses: NOAUTH"), (with("hunter3"), "Redis refuses: WRONGPASS")] {
        let replica = Replica::start(&url);
        let error = replica.says(why).await;
        let said = format!("{error:?} {:?} {:?}", replica.redis, replica.list);
        assert!(!said.contains("hunter"), "{said}");
    }

    let old = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://:hunter2@{}", old.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = old.accept().await.unwrap();
            let _ = connection.read(&mut [0; 1024]).await;
            let error = "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `hunter2`\r\n";
            let _ = connection.write_all(error.repeat(4).as_bytes()).await;
        }
    });
    let replica = Replica::start(&url);
    let error = replica.says("Redis is older than version 6").await;
    let said = format!("{error} {error:?} {:?} {:?}", replica.redis, replica.list);
    assert!(!said.contains("hunter"), "{said}");

    for wrong in
        ["http://:hunter2@x/", "redis://:hunter2@x:99999/", "rediss://:hunter2@x:99999/", "hunter2", "redis:///hunter2"]
    {
        let list = RevocationList::new(Duration::from_secs(60));
        let error = RedisStore::share(&list, wrong, NAME).unwrap_err();
        assert_eq!(error.to_string(), "the URL is not one of Redis");
        assert!(format!("{list:?}").contains("connected: true"), "and nothing has changed");
    }
}

#[test]
fn without_a_runtime_there_is_an_error() {
    let list = RevocationList::new(Duration::from_secs(60));
    let error = RedisStore::share(&list, "redis://127.0.0.1/", NAME).unwrap_err();
    assert_eq!(error.to_string(), "there is no Tokio runtime");
}
