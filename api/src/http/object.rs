//! Group-owned objects: consumers, certificates, global rules. One implementation for the three.

use std::str::FromStr;

use axum::extract::State;
use axum::http::{HeaderMap, Method};
use refgate_core::change::Operation;
use refgate_core::name::{CertificateName, ConsumerName, GroupName, NameError, RuleName};
use refgate_core::object::{ObjectKind, ObjectName};
use serde_json::{Map, Value};

use super::page::PageParams;
use super::params::NoParams;
use super::path::{At, Segment};
use super::targets::Targets;
use super::write::Write;
use super::{Answer, Api, Endpoint, Guard, conditional, endpoint};
use crate::body::Document;
use crate::body::fields::Fields;

/// The name of an object, by which its kind is known.
pub(super) trait Named: Segment + FromStr<Err = NameError> + Send + 'static {
    const KIND: ObjectKind;

    fn object(self) -> ObjectName;
}

macro_rules! named {
    ($($name:ident: $kind:ident, $parameter:literal);+ $(;)?) => {
        $(
            impl Segment for $name {
                const PARAMETER: &'static str = $parameter;
            }

            impl Named for $name {
                const KIND: ObjectKind = ObjectKind::$kind;

                fn object(self) -> ObjectName {
                    ObjectName::$kind(self)
                }
            }
        )+
    };
}

named! {
    ConsumerName: Consumer, "consumer";
    CertificateName: Certificate, "certificate";
    RuleName: GlobalRule, "rule";
}

/// The endpoints of a kind: the list, one object, and its copies.
pub(super) fn endpoints<N: Named>(
    all: &'static str,
    one: &'static str,
    copies: &'static str,
) -> [Endpoint; 6] {
    [
        endpoint(Method::GET, all, Guard::READ, list::<N>),
        endpoint(Method::GET, one, Guard::READ, get::<N>),
        endpoint(Method::PUT, one, Guard::WRITE, put::<N>),
        endpoint(Method::PATCH, one, Guard::WRITE, patch::<N>),
        endpoint(Method::DELETE, one, Guard::WRITE, delete::<N>),
        endpoint(Method::POST, copies, Guard::WRITE, copy::<N>),
    ]
}

async fn list<N: Named>(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    page: PageParams,
) -> Answer {
    let objects = api.store.read(move |repository| repository.objects(&group, N::KIND)).await?;
    let items = objects.into_iter().map(|(name, document)| {
        let mut item = Map::from_iter([("name".to_owned(), Value::from(name))]);
        if let Value::Object(fields) = document {
            item.extend(fields);
        }
        item
    });
    page.cut(items.collect(), |item| item["name"].as_str().unwrap_or_default().to_owned())
}

async fn get<N: Named>(
    State(api): State<Api>,
    At((group, name)): At<(GroupName, N)>,
    _: NoParams,
    headers: HeaderMap,
) -> Answer {
    let object = name.object();
    let found = api.store.read(move |repository| repository.object(&group, &object)).await?;
    conditional::respond(&headers, &found.etag, &found)
}

async fn put<N: Named>(
    State(api): State<Api>,
    At((group, name)): At<(GroupName, N)>,
    write: Write,
    body: Document,
) -> Answer {
    let operation = Operation::PutObject { object: name.object(), document: body.0 };
    write.run(&api, group, operation).await
}

async fn patch<N: Named>(
    State(api): State<Api>,
    At((group, name)): At<(GroupName, N)>,
    write: Write,
    body: Document,
) -> Answer {
    let operation = Operation::PatchObject { object: name.object(), patch: body.0 };
    write.run(&api, group, operation).await
}

async fn delete<N: Named>(
    State(api): State<Api>,
    At((group, name)): At<(GroupName, N)>,
    write: Write,
) -> Answer {
    write.run(&api, group, Operation::DeleteObject { object: name.object() }).await
}

/// To other groups, each for itself; preconditions are about the object in the target.
async fn copy<N: Named>(
    State(api): State<Api>,
    At((from, name)): At<(GroupName, N)>,
    write: Write,
    body: Document,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let to = fields.required::<Targets>("to");
    let replace = fields.optional::<bool>("replace").unwrap_or_default();
    let reason = fields.optional::<String>("reason");
    let to = fields.finish(|| to)?;
    let operation = Operation::CopyObject { object: name.object(), from, replace };
    to.write(&api, &write, operation, reason).await
}
