//! Before the load: one client tries everything once, so that a mistake is one clear sentence. It also makes the rows that
//! are written to.

use std::sync::Arc;
use std::time::Duration;

use dcrf_tokio::{Client, Json, Request};
use serde_json::Value;
use tokio::time::timeout;

use super::args::{Plan, WritePlan};
use super::client::Factory;
use super::load::Writer;
use super::writes::Marker;
use crate::connection::{PkField, Target};
use crate::failure::{Code, Effect, Failure};
use crate::fields::{Object, quote};
use crate::output::{BAD, Fields, Output};

/// How long removing the rows may take.
const REMOVE: Duration = Duration::from_secs(10);

pub(crate) struct Setup {
    client: Client,
    /// The stream that is written to.
    stream: String,
    /// The keys of the rows, one for each writer.
    keys: Vec<Value>,
}

impl Setup {
    /// Subscribes, requests and creates rows, once each.
    ///
    /// # Errors
    ///
    /// The server refuses one of these.
    pub(crate) async fn prepare(
        target: &Target,
        plan: &Plan,
        marker: &Marker,
    ) -> Result<Self, Failure> {
        let client = target.connect().await?;
        if let Some(subscribe) = plan.subscribe.clone() {
            let action = subscribe.action().to_owned();
            let subscription = client.subscribe::<Json>(subscribe).await.map_err(|error| {
                explained(Failure::subscription(&error), &format!("the subscribe {action} fails"))
            })?;
            // It has worked, and that is all.
            let _ = subscription.cancel().await;
        }
        if let Some((request, _)) = plan.requests.clone() {
            let what = format!("the request {} {} fails", request.action(), request.stream());
            let reply = client.call::<Json>(request).await;
            reply.map_err(|error| explained(Failure::request(&error, Effect::Read), &what))?;
        }
        let mut setup = Self { client, stream: String::new(), keys: Vec::new() };
        if let Some(plan) = &plan.writes
            && let Err(failure) = setup.create_rows(plan, marker, &target.pk).await
        {
            setup.delete_rows().await;
            return Err(failure);
        }
        Ok(setup)
    }

    async fn create_rows(
        &mut self,
        plan: &WritePlan,
        marker: &Marker,
        pk: &PkField,
    ) -> Result<(), Failure> {
        self.stream.clone_from(&plan.to.stream);
        let field = &plan.to.field;
        let mut row: Object = plan.row.clone();
        row.insert(field.clone(), quote(&marker.unnumbered()));
        for _ in 0..plan.writers {
            let created = self.client.call::<Fields>(Request::create(&self.stream, &row)).await;
            let created = created.map_err(|error| {
                let what = format!("creating a row of {} fails", self.stream);
                explained(Failure::request(&error, Effect::Write), &what)
            })?;
            let key = pk.of(&created).and_then(|name| created.get(name)?.decode().ok());
            let key: Value = key.ok_or_else(|| {
                refused("the created row has no field pk or id: name its key with --pk".into())
            })?;
            self.keys.push(key);
            let written = created.get(field).map(|value| value.decode().unwrap_or_default());
            if written != Some(marker.unnumbered()) {
                return Err(refused(format!(
                    "the created row does not have the text of the field {field}: --write-field must name a text field \
                     that the server stores as it is"
                )));
            }
        }
        Ok(())
    }

    /// The writers, connected.
    ///
    /// # Errors
    ///
    /// One can't connect.
    pub(crate) async fn writers(
        &self,
        factory: &Factory,
        first: usize,
    ) -> Result<Arc<[Writer]>, Failure> {
        let mut writers = Vec::new();
        for (number, key) in self.keys.iter().enumerate() {
            let client = factory.builder(first + number).connect().await?;
            writers.push(Writer { client, key: key.clone() });
        }
        Ok(writers.into())
    }

    /// Deletes the rows, and says so if that fails.
    pub(crate) async fn remove_rows(&self, out: Output) {
        let left = self.delete_rows().await;
        if left > 0 {
            let (stream, count) = (&self.stream, self.keys.len());
            out.state(BAD, &format!("{left} of {count} rows of {stream} could not be deleted"));
        }
        self.client.close().await;
    }

    async fn delete_rows(&self) -> usize {
        let mut left = self.keys.len();
        let deleting = async {
            for key in &self.keys {
                let delete = Request::delete(&self.stream, key);
                if self.client.call::<Json>(delete).await.is_ok() {
                    left -= 1;
                }
            }
        };
        let _ = timeout(REMOVE, deleting).await;
        left
    }
}

fn refused(message: String) -> Failure {
    Failure::new(Code::Refused, message)
}

fn explained(mut failure: Failure, what: &str) -> Failure {
    failure.message = format!("{what}: {}", failure.message);
    failure
}
