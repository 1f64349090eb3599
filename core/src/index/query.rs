//! What the index is asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::types::{Type, Value as Sql};
use rusqlite::{Row, params, params_from_iter};

use super::Index;
use super::fold::oid;
use super::pushes;
use crate::name::{CommitId, ContentId, GroupName, Revision, ServiceName};
use crate::store::StoreError;
use crate::version::{Version, VersionError};

/// A commit of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitRow {
    pub(crate) revision: Revision,
    pub(crate) commit: CommitId,
    pub(crate) event: String,
    pub(crate) actor: String,
    pub(crate) author: String,
    pub(crate) at: Timestamp,
    pub(crate) subject: String,
    pub(crate) service: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) from_group: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) request_id: Option<String>,
}

/// A version of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionRow {
    pub(crate) version: Version,
    pub(crate) commit: CommitId,
    pub(crate) content: ContentId,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: String,
    pub(crate) message: String,
}

/// Which events of a group are wanted, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistoryQuery {
    pub(crate) service: Option<ServiceName>,
    /// A file of the group's tree.
    pub(crate) path: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// Only revisions before this one.
    pub(crate) before: Option<Revision>,
    /// Only revisions after this one.
    pub(crate) after: Option<Revision>,
    /// Of a service, only those that changed its content.
    pub(crate) of_content: bool,
    pub(crate) limit: usize,
}

const COMMIT: &str = "c.revision, c.id, c.event, c.actor, c.author, c.at, c.subject, c.service, \
                      c.version, c.from_group, c.reason, c.request_id, c.restored";
/// How long git may take to make a tag after its push was accepted, in seconds.
const A_MOMENT: i64 = 60;

/// What a commit is that brings back a version.
const ROLLED_BACK: &str = "version.rolled-back";
const VERSION: &str = "v.version, v.commit_id, v.content, v.created_at, v.created_by, v.message";

impl Index {
    /// The revision of a commit in a group.
    pub(crate) fn revision(
        &self,
        group: &GroupName,
        commit: CommitId,
    ) -> Result<Option<Revision>, StoreError> {
        Ok(self.commit(group, commit)?.map(|row| row.revision))
    }

    /// A commit of a group.
    pub(crate) fn commit(
        &self,
        group: &GroupName,
        commit: CommitId,
    ) -> Result<Option<CommitRow>, StoreError> {
        self.one_commit("c.id = ?2", params![group.as_str(), commit.0.as_bytes()])
    }

    /// The commit at a revision of a group.
    pub(crate) fn commit_at(
        &self,
        group: &GroupName,
        revision: Revision,
    ) -> Result<Option<CommitRow>, StoreError> {
        self.one_commit("c.revision = ?2", params![group.as_str(), revision.0])
    }

    fn one_commit(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params + Clone,
    ) -> Result<Option<CommitRow>, StoreError> {
        let text =
            format!("SELECT {COMMIT} FROM commits c WHERE c.group_name = ?1 AND {condition}");
        let found = self.ask(|state| {
            let mut statement = state.sql.prepare_cached(&text)?;
            let mut rows = statement.query(parameters.clone())?;
            Ok(rows.next()?.map(commit_row).transpose()?)
        })?;
        found.map(|row| self.recognised(row)).transpose()
    }

    /// The row with what a pushed commit turns out to be: one that brings back what is a version by
    /// now is a rollback to it.
    fn recognised(
        &self,
        (mut row, restored): (CommitRow, Option<ContentId>),
    ) -> Result<CommitRow, StoreError> {
        if let (Some(content), Some(service)) = (restored, &row.service)
            && let Ok(service) = service.parse()
            && let Some(version) = self.version_of(&service, content)?
        {
            ROLLED_BACK.clone_into(&mut row.event);
            row.version = Some(version.version.to_string());
        }
        Ok(row)
    }

    /// Events of a group, newest first.
    pub(crate) fn history(
        &self,
        group: &GroupName,
        query: &HistoryQuery,
    ) -> Result<Vec<CommitRow>, StoreError> {
        let mut found = Vec::new();
        let mut query = query.clone();
        let wanted = query.limit;
        loop {
            let page = self.page(group, &query)?;
            let is_last = page.len() < query.limit;
            query.before = page.last().map(|(row, _)| row.revision);
            for row in page {
                let row = self.recognised(row)?;
                if query.event.as_ref().is_none_or(|event| *event == row.event) {
                    found.push(row);
                }
            }
            // What turned out to be another kind of event leaves room.
            if is_last || found.len() >= wanted {
                found.truncate(wanted);
                return Ok(found);
            }
        }
    }

    /// Rows of a group, newest first, with the content that each brings back.
    fn page(
        &self,
        group: &GroupName,
        query: &HistoryQuery,
    ) -> Result<Vec<(CommitRow, Option<ContentId>)>, StoreError> {
        let mut values: Vec<Sql> = vec![group.to_string().into()];
        // The narrowest table is gone through, newest revision first, and the others are looked up:
        // so a page costs a page. CROSS JOIN keeps that order.
        let mut tables: Vec<&str> = Vec::new();
        let mut conditions = String::new();
        let mut also = |condition: &str, value: Option<Sql>| {
            if let Some(value) = value {
                values.push(value);
                conditions += &format!(" AND {condition} ?{}", values.len());
            }
        };
        if let Some(path) = &query.path {
            tables.push("files f");
            also("f.path =", Some(path.clone().into()));
        }
        if let Some(service) = &query.service {
            tables.push("touches t");
            also("t.service =", Some(service.to_string().into()));
        }
        tables.push("commits c");
        let aliases: Vec<&str> = tables.iter().map(|table| &table[table.len() - 1..]).collect();
        let first = aliases[0];
        let seconds = |at: Timestamp| Sql::from(at.as_second());
        also("c.actor =", query.actor.clone().map(Sql::from));
        also("c.at >=", query.since.map(seconds));
        also("c.at <=", query.until.map(seconds));
        let number = |revision: Revision| Sql::from(i64::try_from(revision.0).unwrap_or(i64::MAX));
        also(&format!("{first}.revision <"), query.before.map(number));
        also(&format!("{first}.revision >"), query.after.map(number));
        if query.of_content && query.service.is_some() {
            conditions += " AND t.content IS NOT (SELECT b.content FROM touches b
               WHERE b.group_name = t.group_name AND b.service = t.service
                 AND b.revision < t.revision ORDER BY b.revision DESC LIMIT 1)";
        }
        for other in &aliases[1..] {
            conditions += &format!(
                " AND {other}.group_name = {first}.group_name AND {other}.revision = {first}.revision"
            );
        }
        if let Some(event) = &query.event {
            values.push(event.clone().into());
            let number = values.len();
            // Which of the pushed are rollbacks is known when they are looked at.
            conditions += &match event.as_str() {
                ROLLED_BACK => format!(" AND (c.event = ?{number} OR c.restored IS NOT NULL)"),
                _ => format!(" AND c.event = ?{number}"),
            };
        }
        values.push(i64::try_from(query.limit).unwrap_or(i64::MAX).into());
        let text = format!(
            "SELECT {COMMIT} FROM {} WHERE {first}.group_name = ?1{conditions}
             ORDER BY {first}.revision DESC LIMIT ?{}",
            tables.join(" CROSS JOIN "),
            values.len()
        );
        self.ask(|state| {
            let mut statement = state.sql.prepare_cached(&text)?;
            let mut rows = statement.query(params_from_iter(&values))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(commit_row(row)?);
            }
            Ok(found)
        })
    }

    /// The last commit that touched each service of a group.
    pub(crate) fn last_touches(
        &self,
        group: &GroupName,
    ) -> Result<BTreeMap<String, CommitRow>, StoreError> {
        let text = format!(
            "SELECT {COMMIT}, t.service FROM
               (SELECT service, max(revision) AS revision FROM touches WHERE group_name = ?1
                GROUP BY service) t
             JOIN commits c ON c.group_name = ?1 AND c.revision = t.revision"
        );
        self.ask(|state| {
            let mut statement = state.sql.prepare_cached(&text)?;
            let mut rows = statement.query([group.as_str()])?;
            let mut found = BTreeMap::new();
            while let Some(row) = rows.next()? {
                found.insert(row.get(13)?, commit_row(row)?.0);
            }
            Ok(found)
        })
    }

    /// The last commit that touched a service of a group.
    pub(crate) fn last_touch(
        &self,
        group: &GroupName,
        service: &ServiceName,
    ) -> Result<Option<CommitRow>, StoreError> {
        let query = HistoryQuery { service: Some(service.clone()), limit: 1, ..Default::default() };
        Ok(self.history(group, &query)?.into_iter().next())
    }

    /// The last commit that wrote a file of a group or took it away.
    pub(crate) fn last_change(
        &self,
        group: &GroupName,
        path: &str,
    ) -> Result<Option<CommitRow>, StoreError> {
        let query = HistoryQuery { path: Some(path.to_owned()), limit: 1, ..Default::default() };
        Ok(self.history(group, &query)?.into_iter().next())
    }

    /// The versions of a service, newest first by precedence.
    pub(crate) fn versions(&self, service: &ServiceName) -> Result<Vec<VersionRow>, StoreError> {
        self.version_rows(service, "v.service = ?1", params![service.as_str()])
    }

    /// One version of a service.
    pub(crate) fn version(
        &self,
        service: &ServiceName,
        version: &Version,
    ) -> Result<Option<VersionRow>, StoreError> {
        let condition = "v.service = ?1 AND v.version = ?2";
        let rows =
            self.version_rows(service, condition, params![service.as_str(), version.to_string()])?;
        Ok(rows.into_iter().next())
    }

    /// The version that names this content of a service.
    pub(crate) fn version_of(
        &self,
        service: &ServiceName,
        content: ContentId,
    ) -> Result<Option<VersionRow>, StoreError> {
        let condition = "v.service = ?1 AND v.content = ?2";
        let rows =
            self.version_rows(service, condition, params![service.as_str(), content.0.as_bytes()])?;
        Ok(rows.into_iter().next())
    }

    /// The versions that a group has run of a service, newest first by precedence.
    pub(crate) fn versions_run(
        &self,
        group: &GroupName,
        service: &ServiceName,
    ) -> Result<Vec<VersionRow>, StoreError> {
        self.version_rows(
            service,
            "v.service = ?1 AND EXISTS (SELECT 1 FROM touches t WHERE t.service = ?1
               AND t.content = v.content AND t.group_name = ?2)",
            params![service.as_str(), group.as_str()],
        )
    }

    /// The version that the group ran last of a service: what its content is based on.
    pub(crate) fn based_on(
        &self,
        group: &GroupName,
        service: &ServiceName,
    ) -> Result<Option<VersionRow>, StoreError> {
        let text = format!(
            "SELECT {VERSION} FROM touches t
             JOIN versions v ON v.service = t.service AND v.content = t.content
             WHERE t.group_name = ?1 AND t.service = ?2 ORDER BY t.revision DESC LIMIT 1"
        );
        self.ask_with_tags(Some(service), |sql| {
            let mut statement = sql.prepare_cached(&text)?;
            let mut rows = statement.query(params![group.as_str(), service.as_str()])?;
            Ok(rows.next()?.map(version_row).transpose()?)
        })
    }

    /// Whether a group has run this content of a service at some commit of its history.
    pub(crate) fn has_run(
        &self,
        group: &GroupName,
        service: &ServiceName,
        content: ContentId,
    ) -> Result<bool, StoreError> {
        self.ask(|state| {
            let mut statement = state.sql.prepare_cached(
                "SELECT 1 FROM touches WHERE service = ?1 AND content = ?2 AND group_name = ?3
                 LIMIT 1",
            )?;
            let content = content.0.as_bytes();
            Ok(statement.exists(params![service.as_str(), content, group.as_str()])?)
        })
    }

    /// The last revision of a group that had this content of a service; nothing when it never ran there.
    ///
    /// What a group owns about the service may have changed since: the content stood then, too.
    pub(crate) fn last_run(
        &self,
        group: &GroupName,
        service: &ServiceName,
        content: ContentId,
    ) -> Result<Option<Revision>, StoreError> {
        self.ask(|state| {
            let mut statement = state.sql.prepare_cached(
                "SELECT max(revision) FROM touches
                 WHERE service = ?1 AND content = ?2 AND group_name = ?3",
            )?;
            let content = content.0.as_bytes();
            let found = statement
                .query_row(params![service.as_str(), content, group.as_str()], |row| {
                    row.get::<_, Option<u64>>(0)
                })?;
            Ok(found.map(Revision))
        })
    }

    /// A number that a push is about to give to this content, if one is: it was accepted a moment
    /// ago, and its tag is not there yet.
    pub(crate) fn about_to_be(
        &self,
        git: &git2::Repository,
        service: &ServiceName,
        content: ContentId,
        now: Timestamp,
    ) -> Result<Option<Version>, StoreError> {
        let now = now.as_second();
        let noted = self.ask(|state| {
            pushes::fold(&mut state.sql, git)?;
            let mut statement = state.sql.prepare_cached(
                "SELECT version FROM numbered
                 WHERE service = ?1 AND content = ?2 AND at BETWEEN ?3 AND ?4",
            )?;
            let between = (now - A_MOMENT, now + A_MOMENT);
            let mut rows = statement.query(params![
                service.as_str(),
                content.0.as_bytes(),
                between.0,
                between.1
            ])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(number(row, 0)?);
            }
            Ok(found)
        })?;
        for version in noted {
            if self.version(service, &version)?.is_none() {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Whether a commit is in the history of any group.
    pub(crate) fn knows(&self, commit: CommitId) -> Result<bool, StoreError> {
        self.ask(|state| {
            let mut statement = state.sql.prepare_cached("SELECT 1 FROM commits WHERE id = ?1")?;
            Ok(statement.exists([commit.0.as_bytes()])?)
        })
    }

    /// How many groups, commits and versions it knows.
    pub(crate) fn counts(&self) -> Result<(u64, u64, u64), StoreError> {
        self.ask_with_tags(None, |sql| {
            let count = |table: &str| {
                let text = format!("SELECT count(*) FROM {table}");
                sql.query_row(&text, [], |row| row.get::<_, u64>(0))
            };
            Ok((count("heads")?, count("commits")?, count("versions")?))
        })
    }

    fn version_rows(
        &self,
        service: &ServiceName,
        condition: &str,
        parameters: impl rusqlite::Params + Clone,
    ) -> Result<Vec<VersionRow>, StoreError> {
        let text = format!("SELECT {VERSION} FROM versions v WHERE {condition}");
        self.ask_with_tags(Some(service), |sql| {
            let mut statement = sql.prepare_cached(&text)?;
            let mut rows = statement.query(parameters.clone())?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(version_row(row)?);
            }
            found.sort_by(|a: &VersionRow, b| b.version.cmp(&a.version));
            Ok(found)
        })
    }
}

/// A commit, and the content that it brings back.
fn commit_row(row: &Row<'_>) -> Result<(CommitRow, Option<ContentId>), rusqlite::Error> {
    let restored: Option<Vec<u8>> = row.get(12)?;
    let restored = restored.as_deref().map(oid).transpose()?.map(ContentId);
    let commit = CommitRow {
        revision: Revision(row.get(0)?),
        commit: CommitId(oid(&row.get::<_, Vec<u8>>(1)?)?),
        event: row.get(2)?,
        actor: row.get(3)?,
        author: row.get(4)?,
        at: timestamp(row.get(5)?),
        subject: row.get(6)?,
        service: row.get(7)?,
        version: row.get(8)?,
        from_group: row.get(9)?,
        reason: row.get(10)?,
        request_id: row.get(11)?,
    };
    Ok((commit, restored))
}

fn version_row(row: &Row<'_>) -> Result<VersionRow, rusqlite::Error> {
    Ok(VersionRow {
        version: number(row, 0)?,
        commit: CommitId(oid(&row.get::<_, Vec<u8>>(1)?)?),
        content: ContentId(oid(&row.get::<_, Vec<u8>>(2)?)?),
        created_at: timestamp(row.get(3)?),
        created_by: row.get(4)?,
        message: row.get(5)?,
    })
}

fn number(row: &Row<'_>, column: usize) -> Result<Version, rusqlite::Error> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: VersionError| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

/// A time that git can write and no clock shows becomes the epoch.
fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
