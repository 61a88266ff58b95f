//! The workers: servers with one database, restarted in turn as in a rolling deployment.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dcrf_tests::server::Server;

pub(crate) struct Workers(Vec<Server>);

impl Workers {
    pub(crate) fn start(count: usize, redis: &str) -> Self {
        let mut workers = vec![Server::builder().redis(redis).start().unwrap()];
        while workers.len() < count {
            let worker = workers[0].start_another().unwrap();
            workers.push(worker);
        }
        Self(workers)
    }

    /// A worker with the same database that is not restarted.
    pub(crate) fn start_another(&self) -> Server {
        self.0[0].start_another().unwrap()
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(Server::address).collect()
    }

    /// Restarts each worker: the last one is killed, the others shut down. Returns when each restart began.
    pub(crate) async fn restart_in_turn(self, rest: Duration) -> (Self, Vec<Instant>) {
        let mut workers = self.0;
        let mut restarts = Vec::new();
        for nth in 0..workers.len() {
            let mut worker = workers.remove(nth);
            let is_last = nth == workers.len();
            restarts.push(Instant::now());
            let restarted = tokio::task::spawn_blocking(move || {
                if is_last {
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
        (Self(workers), restarts)
    }
}
