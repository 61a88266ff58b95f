//! The workers: servers on one database, restarted one after the other as a deployment does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dcrf_tests::server::Server;

pub(crate) struct Workers(Vec<Server>);

impl Workers {
    pub(crate) fn start(count: usize, redis: &str) -> Self {
        let first = Server::builder().redis(redis).start().unwrap();
        let mut workers = vec![first];
        while workers.len() < count {
            let next = workers[0].start_another().unwrap();
            workers.push(next);
        }
        Self(workers)
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(Server::address).collect()
    }

    /// Asks each to shut down, but kills the last, and starts it anew. Says when each went.
    pub(crate) async fn restart_one_after_the_other(self, rest: Duration) -> (Self, Vec<Instant>) {
        let mut workers = self.0;
        let mut ends = Vec::new();
        for nth in 0..workers.len() {
            let mut worker = workers.remove(nth);
            let kills = nth == workers.len();
            ends.push(Instant::now());
            let restarted = tokio::task::spawn_blocking(move || {
                if kills {
                    worker.kill().unwrap();
                } else {
                    worker.terminate().unwrap();
                }
                worker.restart().unwrap();
                worker
            });
            workers.insert(nth, restarted.await.unwrap());
            tokio::time::sleep(rest).await;
        }
        (Self(workers), ends)
    }
}
