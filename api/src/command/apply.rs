//! `refgate apply`: write files into a group, in one commit.

use clap::Args;
use refgate_core::name::{GroupName, ServiceName};
use serde_json::{Value, json};

use super::Run;
use super::args::{GroupArg, WriteArgs};
use super::failure::Failure;
use super::input::{self, Source};
use super::session::Session;
use super::tree::{self, Files, WholeService};
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Group};
use crate::client::{Client, ClientError};
use crate::output::write::Ending;

/// Flags of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    group: GroupArg,
    /// File or directory; `-` reads standard input
    #[arg(short = 'f', long, value_name = "FILE|DIR")]
    file: Source,
    /// Subject of the commit, where it is one of several files
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Of the services in the directory, remove the routes that it does not have
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    write: WriteArgs,
}

impl Run for ApplyArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        if let Source::Path(path) = &self.file
            && path.is_dir()
        {
            let files = tree::directory(path, false)?;
            return self.commit(session, files, self.prune);
        }
        let services = whole_services(&self.file)?;
        match services.as_slice() {
            [(name, whole)] if self.message.is_none() => self.put(session, name, whole),
            _ => {
                let files = services.iter().flat_map(|(name, whole)| whole.files(name)).collect();
                self.commit(session, files, true)
            }
        }
    }
}

/// The services of a file, each with its name.
pub(crate) fn whole_services(source: &Source) -> Result<Vec<(ServiceName, WholeService)>, Failure> {
    let documents = input::documents(source)?;
    let alone = documents.len() == 1;
    let mut services: Vec<(ServiceName, WholeService)> = Vec::new();
    for document in documents {
        let whole = WholeService::read(source, document)?;
        let name = match &whole.name {
            Some(name) => name.clone(),
            None if alone => whole.name_or_stem(source)?,
            None => {
                let reason = "with several services in one file, each has a \"name\"";
                return Err(input::unfit(source, reason).into());
            }
        };
        if services.iter().any(|(other, _)| *other == name) {
            return Err(input::unfit(source, &format!("{name} stands in it twice")).into());
        }
        services.push((name, whole));
    }
    if services.is_empty() {
        return Err(input::unfit(source, "there is no document in it").into());
    }
    Ok(services)
}

impl ApplyArgs {
    fn put(
        &self,
        session: &mut Session,
        name: &ServiceName,
        whole: &WholeService,
    ) -> Result<Ending, Failure> {
        let endpoint = Endpoint::service(&self.group.group, name);
        session.write(
            &self.write,
            [&self.group.group],
            &format!("service {name}"),
            "updated",
            |client, options| client.put(&endpoint, &whole.document, options),
        )
    }

    fn commit(
        &self,
        session: &mut Session,
        mut files: Files,
        prune: bool,
    ) -> Result<Ending, Failure> {
        let group = &self.group.group;
        let written = files.len();
        // The head is read first: when somebody adds a route after that, the commit is refused
        // rather than made without knowing of it.
        let mut head = None;
        if prune {
            let body = session.client.get(&Endpoint::group(group))?.body;
            head = Some(view::read::<Group>(&body)?.head);
            remove_what_is_gone(&session.client, group, &mut files)?;
        }
        let mut body = tree::body(files);
        if let (Value::Object(body), Some(head)) = (&mut body, head) {
            body.insert("expect_head".to_owned(), json!(head));
        }
        if let (Value::Object(body), Some(message)) = (&mut body, &self.message) {
            body.insert("message".to_owned(), json!(message));
        }
        let endpoint = Endpoint::of_group(group, "commit");
        let subject = if written == 1 { "1 file".to_owned() } else { format!("{written} files") };
        session.write(&self.write, [group], &subject, "applied", |client, options| {
            client.post(&endpoint, &body, options)
        })
    }
}

/// Adds a removal for every route that a service has in the group and `files` do not have.
pub(crate) fn remove_what_is_gone(
    client: &Client,
    group: &GroupName,
    files: &mut Files,
) -> Result<(), ClientError> {
    for service in tree::services_of(files) {
        match client.get(&Endpoint::service(group, &service)) {
            Ok(current) => tree::remove_missing_routes(files, &service, &current.body),
            // A service that is not there yet has nothing to lose.
            Err(ClientError::Refused(problem)) if problem.status == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
