//! A connection on which revocations come and go.

use std::borrow::Cow;
use std::collections::HashSet;
use std::future::{pending, ready};
use std::iter;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, PushInfo, PushKind, Value};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::{UnixTime, after};
use crate::redis::RedisError;
use crate::revocation::{Entry, LocalEntries, LocalEvent, RevocationList};
use crate::sync::{lock, random};
use crate::trace::event;

/// The list counts as complete for so long after Redis was last known to have told everything.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// How often Redis is asked whether it is still there, and how long it may take.
const ASK_EVERY: Duration = Duration::from_millis(200);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// How marks of the set begin; no entry does.
const MARK: &str = "m.";

/// How often it is tried to write what could not be.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// What has expired is taken out so often, and so much later, in seconds: clocks differ.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
const SWEEP_AFTER: u64 = 3600;

/// Clocks that differ by more are worth a warning.
const MOST_DIFFERENCE: Duration = Duration::from_secs(60);

/// So many entries are read or written at once.
const PAGE: usize = 500;

/// So many messages wait to be taken in, before the list is read anew instead.
const MESSAGES: usize = 1024;

/// Whether all that was revoked here until now is stored.
pub(super) type Question = oneshot::Sender<Result<(), RedisError>>;

/// Whoever has asked may be gone.
pub(super) fn answer(question: Question, answer: Result<(), RedisError>) {
    drop(question.send(answer));
}

/// Whether the list has all that was revoked elsewhere.
pub(super) struct Completeness {
    list: RevocationList,
    state: watch::Sender<bool>,
    /// When Redis was last known to have told everything.
    told_all_at: Mutex<Instant>,
}

impl Completeness {
    pub(super) fn new(list: RevocationList, state: watch::Sender<bool>) -> Self {
        Self { list, state, told_all_at: Mutex::new(Instant::now()) }
    }

    fn told_all_at(&self) -> Instant {
        *lock(&self.told_all_at)
    }

    fn renew(&self, told_all_at: Instant) {
        *lock(&self.told_all_at) = told_all_at;
        self.state.send_replace(true);
        // should nobody drive this any more, the list notices it by itself
        self.list.connection().begin_until(after(told_all_at, KNOWN_FOR));
    }

    /// Waits until too much time has passed; for ever if it was said that it has.
    pub(super) async fn is_over(&self) {
        if self.has_ended() { pending().await } else { sleep_until(after(self.told_all_at(), KNOWN_FOR)).await }
    }

    pub(super) fn has_ended(&self) -> bool {
        !*self.state.borrow()
    }

    /// Says that it has ended, or another reason.
    pub(super) fn end(&self, why: Cow<'static, str>) {
        self.state.send_replace(false);
        self.list.disconnected(why);
    }
}

pub(super) struct Session {
    connection: MultiplexedConnection,
    name: Arc<str>,
    list: RevocationList,
    messages: mpsc::Receiver<PushInfo>,
    /// Set when messages were thrown away.
    overflowed: Arc<AtomicBool>,
    local: LocalEntries,
    completeness: Arc<Completeness>,
    /// Whether the list was read.
    has_read: bool,
    /// What stands in the set beside the entries, for as long as it is the set that was read.
    mark: Option<String>,
    sweep_at: Instant,
    /// Why something of the list is not in Redis, and when to try again.
    behind: Option<(RedisError, Instant)>,
}

impl Session {
    /// Connects, and makes the list and Redis the same.
    pub(super) async fn open(
        client: &Client,
        name: &str,
        completeness: &Arc<Completeness>,
    ) -> Result<Self, RedisError> {
        let overflowed = Arc::new(AtomicBool::new(false));
        let (sender, messages) = mpsc::channel(MESSAGES);
        let lost = Arc::clone(&overflowed);
        let forward = move |message: PushInfo| {
            // that the connection has ended is told by the next command
            if message.kind != PushKind::Message {
                return Ok(());
            }
            sender.try_send(message).inspect_err(|_| lost.store(true, Ordering::Release))
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_push_sender(forward);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        // first, so that what is revoked while the list is read comes by one way or the other
        connection.subscribe(name).await?;
        let list = completeness.list.clone();
        let mut session = Self {
            connection,
            name: name.into(),
            messages,
            overflowed,
            local: list.local_entries(),
            list,
            completeness: Arc::clone(completeness),
            has_read: false,
            mark: None,
            sweep_at: Instant::now(),
            behind: None,
        };
        session.time().await?;
        let missing = session.read().await?;
        session.tell(&missing).await?;
        session.mark().await?;
        session.has_read = true;
        session.ask().await?;
        Ok(session)
    }

    /// Takes in what is there. Returns what is here only.
    async fn read(&mut self) -> Result<Vec<Entry>, RedisError> {
        let mut missing: HashSet<Entry> = self.list.entries().into_iter().collect();
        let mut cursor = "0".to_owned();
        loop {
            let (next, page): (String, Vec<String>) =
                self.run("ZSCAN", &[&self.name.clone(), &cursor, "COUNT", &PAGE.to_string()]).await??;
            // each is followed by its score
            let (marks, texts): (Vec<_>, Vec<_>) = page.iter().step_by(2).partition(|text| text.starts_with(MARK));
            self.mark = self.mark.take().or_else(|| marks.first().map(ToString::to_string));
            let entries = texts.into_iter().map(|text| read(text)).collect::<Result<Vec<_>, _>>()?;
            for entry in &entries {
                missing.remove(entry);
            }
            self.list.merge(entries);
            if next == "0" {
                return Ok(missing.into_iter().collect());
            }
            cursor = next;
        }
    }

    /// Marks the set, so that it is noticed when somebody empties it, or Redis throws it away.
    async fn mark(&mut self) -> Result<(), RedisError> {
        if self.mark.is_none() {
            let mark = format!("{MARK}{:016x}", random());
            let marked: Result<(), _> = self.run("ZADD", &[&self.name.clone(), "+inf", &mark]).await?;
            self.mark = marked.is_ok().then_some(mark);
        }
        Ok(())
    }

    /// Goes on until something fails, and tells what; and leaves the question that was not answered.
    pub(super) async fn serve(
        &mut self,
        questions: &mut mpsc::Receiver<Question>,
        question: &mut Option<Question>,
    ) -> RedisError {
        loop {
            if let Err(error) = self.step(questions, question).await {
                return error;
            }
        }
    }

    /// Waits until there is something to do, and does some of each, so that nothing waits for all of another.
    async fn step(
        &mut self,
        questions: &mut mpsc::Receiver<Question>,
        question: &mut Option<Question>,
    ) -> Result<(), RedisError> {
        let due = after(self.completeness.told_all_at(), ASK_EVERY);
        let mut local = None;
        tokio::select! {
            () = sleep_until(due) => {}
            Some(message) = self.messages.recv() => self.take_in(&message)?,
            Some(entry) = self.local.next() => local = Some(entry),
            Some(asked) = questions.recv(), if question.is_none() => *question = Some(asked),
            () = ready(()), if question.is_some() => {}
        }
        if due <= Instant::now() {
            self.ask().await?;
        }
        if self.sweep_at <= Instant::now() {
            self.sweep().await?;
        }
        if question.is_none() {
            *question = questions.try_recv().ok();
        }
        self.tell_local(local).await?;
        let again = self.behind.as_ref().is_some_and(|(_, again)| *again <= Instant::now());
        if again || question.is_some() && self.behind.is_some() {
            self.tell_all().await?;
        }
        let refused = self.behind.as_ref().map_or(Ok(()), |(why, _)| Err(why.clone()));
        if let Some(question) = question.take() {
            answer(question, refused.clone());
        }
        // another server may stand behind the address now
        if again { refused } else { Ok(()) }
    }

    /// Asks whether Redis is there, and has the set still.
    async fn ask(&mut self) -> Result<(), RedisError> {
        let name = self.name.clone();
        let mark = self.mark.clone();
        let score: Value = self.run("ZSCORE", &[&name, mark.as_deref().unwrap_or(MARK)]).await??;
        if mark.is_some() && score == Value::Nil {
            return Err(RedisError::new("Redis has lost the list, and gets it again"));
        }
        Ok(())
    }

    /// Asks for the time by Redis' clock, so that a revocation is remembered for long enough even if
    /// this machine's is wrong.
    async fn time(&mut self) -> Result<u64, RedisError> {
        let asked = Instant::now();
        let (now, _): (u64, u64) = self.run("TIME", &[]).await??;
        let differ = self.list.times().note(UnixTime(Duration::from_secs(now)), asked);
        if differ > MOST_DIFFERENCE {
            event!(warn, "the clocks of this machine and of Redis differ", seconds = differ.as_secs());
        }
        Ok(now)
    }

    /// Takes out of the set what has expired, by Redis' own clock.
    async fn sweep(&mut self) -> Result<(), RedisError> {
        self.sweep_at = after(Instant::now(), SWEEP_EVERY);
        let now = self.time().await?;
        let expired = now.saturating_sub(SWEEP_AFTER).to_string();
        let swept: Result<(), _> = self.run("ZREMRANGEBYSCORE", &[&self.name.clone(), "-inf", &expired]).await?;
        if let Err(why) = swept {
            event!(debug, "expired revocations stay in Redis", reason = why);
        }
        Ok(())
    }

    /// Tells what was revoked here until now.
    async fn tell_local(&mut self, first: Option<LocalEvent>) -> Result<(), RedisError> {
        let mut entries = Vec::new();
        // more than can have waited
        for local in first.into_iter().chain(iter::from_fn(|| self.local.ready())).take(PAGE) {
            match local {
                LocalEvent::Entry(entry) => entries.push(entry),
                LocalEvent::Missed => entries = self.list.entries(),
            }
        }
        self.tell(&entries).await
    }

    /// Tells all of the list, and so makes up for what could not be written.
    async fn tell_all(&mut self) -> Result<(), RedisError> {
        self.behind = None;
        self.tell(&self.list.entries()).await
    }

    /// Writes entries, and publishes them; even if they cannot be written.
    async fn tell(&mut self, entries: &[Entry]) -> Result<(), RedisError> {
        for page in entries.chunks(PAGE) {
            let name = self.name.clone();
            let texts: Vec<_> = page.iter().map(Entry::to_string).collect();
            let scores: Vec<_> = page.iter().map(until).collect();
            let scored = scores.iter().zip(&texts).flat_map(|(score, text)| [score.as_str(), text]);
            let scored: Vec<_> = iter::once(&*name).chain(scored).collect();
            let written: Result<(), _> = self.run("ZADD", &scored).await?;
            let told: Result<(), _> = self.run("PUBLISH", &[&name, &texts.join(" ")]).await?;
            if let Err(why) = written.and(told) {
                event!(warn, "a revocation cannot be written to Redis", reason = why);
                self.behind = Some((why, after(Instant::now(), WRITE_AGAIN)));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Runs a command. The inner error is a refusal, and the connection as good as before.
    async fn run<T: FromRedisValue>(
        &mut self,
        command: &str,
        arguments: &[&str],
    ) -> Result<Result<T, RedisError>, RedisError> {
        let mut command = ::redis::cmd(command);
        command.arg(arguments);
        let asked = Instant::now();
        let answer = {
            let mut answer = pin!(timeout(ANSWER_WITHIN, command.query_async(&mut self.connection)));
            tokio::select! {
                biased;
                answer = &mut answer => answer,
                () = self.completeness.is_over() => {
                    self.completeness.end("Redis has not answered for a second".into());
                    answer.await
                }
            }
        };
        let answer = match answer.map_err(|_| RedisError::new("Redis does not answer in time"))? {
            Ok(answer) => Ok(answer),
            Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => Err(error.into()),
            Err(error) => return Err(error.into()),
        };
        // what was published before Redis answered has come before the answer
        for _ in 0..MESSAGES {
            let Ok(message) = self.messages.try_recv() else { break };
            self.take_in(&message)?;
        }
        if self.overflowed.load(Ordering::Acquire) {
            return Err(RedisError::new("too many revocations came at once, and are read anew"));
        }
        if self.has_read {
            self.completeness.renew(asked);
        }
        Ok(answer)
    }

    /// A message is any number of entries, with a blank between each two.
    fn take_in(&self, message: &PushInfo) -> Result<(), RedisError> {
        let text = message.data.last().and_then(|payload| String::from_redis_value_ref(payload).ok());
        let entries = text.as_deref().unwrap_or_default().split(' ').map(read);
        self.list.merge(entries.collect::<Result<Vec<_>, _>>()?);
        Ok(())
    }
}

/// The score of an entry: until when it matters, in seconds since the epoch.
fn until(entry: &Entry) -> String {
    let since = entry.until().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs().to_string()
}

fn read(text: &str) -> Result<Entry, RedisError> {
    text.parse().map_err(|_| RedisError::new("what Redis has under the name of the list is no revocation"))
}
