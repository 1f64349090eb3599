//! Any two versions or groups of a service, compared.

use askama::Template;
use axum::extract::State;
use refgate_core::name::ServiceName;
use refgate_core::view::Side;

use super::Answer;
use super::page::{Asked, Frame, Visitor, html};
use super::words::Changes;
use crate::http::Api;
use crate::problem::Problem;

/// Something that a service can be compared as.
struct Choice {
    value: String,
    label: String,
    from: bool,
    to: bool,
}

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    frame: Frame,
    service: String,
    choices: Vec<Choice>,
    from: String,
    to: String,
    changes: Option<Changes>,
    fault: Option<String>,
}

pub(super) async fn show(State(api): State<Api>, visitor: Visitor, asked: Asked) -> Answer {
    let (from, to) = (asked.text("from").to_owned(), asked.text("to").to_owned());
    let mut page = ComparePage {
        frame: visitor.frame("Compare", "compare", Vec::new()),
        service: asked.text("service").to_owned(),
        choices: Vec::new(),
        changes: None,
        fault: None,
        from,
        to,
    };
    if page.service.is_empty() {
        return html(&page);
    }
    match page.service.parse::<ServiceName>() {
        Ok(service) => {
            if let Err(problem) = compare(&api, &service, &mut page).await {
                page.fault = Some(problem.detail().to_owned());
            }
        }
        Err(error) => page.fault = Some(error.to_string()),
    }
    html(&page)
}

async fn compare(api: &Api, service: &ServiceName, page: &mut ComparePage) -> Result<(), Problem> {
    let name = service.clone();
    let (row, versions) = api
        .store
        .read(move |repository| {
            let row = repository.matrix_row(&name)?;
            Ok::<_, refgate_core::Error>((row, repository.versions(&name)?))
        })
        .await?;
    let groups =
        row.groups.keys().map(|group| (format!("group:{group}"), format!("Group {group}")));
    let versions = versions.into_iter().map(|one| one.version.to_string());
    let versions = versions.map(|number| (number.clone(), format!("Version {number}")));
    let choice = |(value, label): (String, String)| Choice {
        from: value == page.from,
        to: value == page.to,
        value,
        label,
    };
    page.choices = groups.chain(versions).map(choice).collect();
    if page.from.is_empty() || page.to.is_empty() {
        return Ok(());
    }
    let side = |text: &str| -> Result<Side, Problem> {
        let refused = |detail| Problem::new(crate::problem::Kind::MalformedRequest, detail);
        text.parse().map_err(refused)
    };
    let (from, to, name) = (side(&page.from)?, side(&page.to)?, service.clone());
    let diff = api.store.read(move |repository| repository.diff(&name, &from, &to)).await?;
    page.changes = Some(Changes::of(&diff.changes));
    Ok(())
}
