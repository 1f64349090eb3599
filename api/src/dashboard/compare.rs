//! Any two versions or groups of a service, or all that two groups hold, compared.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::repository::Repository;
use refgate_core::view::Side;

use super::Answer;
use super::overview::encoded;
use super::page::{Asked, Frame, Visitor, html};
use super::words::Changes;
use crate::http::Api;
use crate::problem::{Kind, Problem};

/// Something that a service can be compared as.
struct Choice {
    value: String,
    label: String,
    from: bool,
    to: bool,
}

/// Versions that are offered; others are compared by their address.
const VERSIONS: usize = 200;
/// Names of services that are offered for what is typed.
const NAMES: usize = 20;

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    frame: Frame,
    /// Empty: all that the two groups hold.
    service: String,
    /// Of two groups: whether the services alone are compared, which is what promotion can bring.
    services_only: bool,
    choices: Vec<Choice>,
    /// Names that stand there before anything is typed.
    names: Names,
    from: String,
    to: String,
    changes: Option<Changes>,
    fault: Option<String>,
}

/// Names of services, as what an input offers.
#[derive(Template)]
#[template(
    source = r#"{% for name in self.0 %}<option value="{{ name }}"></option>{% endfor %}"#,
    ext = "html"
)]
struct Names(Vec<String>);

impl HtmlSafe for Names {}

async fn names(api: &Api, text: &str) -> Result<Names, Problem> {
    let text = text.to_owned();
    let read = move |repository: &Repository| repository.matrix_page(&text, 0, NAMES);
    let found = api.store.read(read).await?;
    Ok(Names(found.rows.into_iter().map(|row| row.service.to_string()).collect()))
}

/// The names of services that what is typed is a part of.
pub(super) async fn services(State(api): State<Api>, _: Visitor, asked: Asked) -> Answer {
    html(&names(&api, asked.text("service")).await?)
}

pub(super) async fn show(State(api): State<Api>, visitor: Visitor, asked: Asked) -> Answer {
    let text = |key: &str| asked.text(key).to_owned();
    let mut page = ComparePage {
        frame: visitor.frame("Compare", "compare", Vec::new()),
        service: text("service"),
        services_only: asked.text("only") == "services",
        choices: Vec::new(),
        names: names(&api, asked.text("service")).await?,
        changes: None,
        fault: None,
        from: text("from"),
        to: text("to"),
    };
    if let Err(problem) = compare(&api, &mut page, asked.page()).await {
        page.fault = Some(problem.detail().to_owned());
    }
    html(&page)
}

async fn compare(api: &Api, page: &mut ComparePage, shown: usize) -> Result<(), Problem> {
    let malformed = |detail: String| Problem::new(Kind::MalformedRequest, detail);
    let service = match page.service.as_str() {
        "" => None,
        name => Some(name.parse::<ServiceName>().map_err(|error| malformed(error.to_string()))?),
    };
    page.choices = choices(api, service.as_ref(), &page.from, &page.to).await?;
    if page.from.is_empty() || page.to.is_empty() {
        return Ok(());
    }
    let side = |text: &str| text.parse::<Side>().map_err(malformed);
    let (from, to) = (side(&page.from)?, side(&page.to)?);
    let services_only = page.services_only;
    let diff = match (service, from, to) {
        (Some(service), from, to) => {
            api.store.read(move |repository| repository.diff(&service, &from, &to)).await?
        }
        (None, Side::Group(from), Side::Group(to)) => {
            let read =
                move |repository: &Repository| repository.diff_groups(&from, &to, services_only);
            api.store.read(read).await?
        }
        (None, ..) => {
            return Err(malformed("a version is one of a service: say of which".to_owned()));
        }
    };
    let base = format!(
        "/compare?service={}&from={}&to={}{}&page=",
        page.service,
        encoded(&page.from),
        encoded(&page.to),
        if services_only { "&only=services" } else { "" }
    );
    page.changes = Some(Changes::page(&diff.changes, shown, base));
    Ok(())
}

/// What can be compared: the groups that have the service, and its versions; or all groups.
async fn choices(
    api: &Api,
    service: Option<&ServiceName>,
    from: &str,
    to: &str,
) -> Result<Vec<Choice>, Problem> {
    let service = service.cloned();
    let (groups, versions) = api
        .store
        .read(move |repository| {
            let Some(service) = service else {
                let groups = repository.groups()?.into_iter().map(|group| group.name);
                return Ok::<_, refgate_core::Error>((groups.collect(), Vec::new()));
            };
            let groups: Vec<GroupName> =
                repository.matrix_row(&service)?.groups.into_keys().collect();
            Ok((groups, repository.versions(&service)?))
        })
        .await?;
    let groups =
        groups.into_iter().map(|group| (format!("group:{group}"), format!("Group {group}")));
    let versions = versions.into_iter().map(|one| one.version.to_string());
    let is_chosen = |number: &String| [from, to].contains(&number.as_str());
    let versions = versions.enumerate().filter(|(at, number)| *at < VERSIONS || is_chosen(number));
    let versions = versions.map(|(_, number)| (number.clone(), format!("Version {number}")));
    let choice = |(value, label): (String, String)| Choice {
        from: value == from,
        to: value == to,
        value,
        label,
    };
    Ok(groups.chain(versions).map(choice).collect())
}
