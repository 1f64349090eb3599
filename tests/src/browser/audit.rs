//! What must hold on every page: nothing in the console, nothing beside the window, nothing from another
//! place, and no fault that axe-core finds, in light and in dark.

use std::sync::OnceLock;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::Browser;
use crate::programs::workspace;

impl Browser {
    /// Looks at the page that is open. What is wrong with it is kept for the [`verdict`](Self::verdict),
    /// so that one run tells of all pages.
    pub fn audit(&self) -> anyhow::Result<()> {
        let mut faults = self.console()?;
        faults.extend(self.strangers()?);
        faults.extend(self.overflow()?);
        let theme = "document.documentElement.dataset.theme";
        let chosen = self.script(&format!("return {theme}"), &[])?;
        for (theme_name, rules) in [("light", Value::Null), ("dark", json!(["color-contrast"]))] {
            self.script(&format!("{theme} = arguments[0]"), &[theme_name.into()])?;
            let found = self.axe(&rules)?;
            faults.extend(found.into_iter().map(|fault| format!("{theme_name}: {fault}")));
        }
        self.script(&format!("{theme} = arguments[0]"), &[chosen])?;
        if !faults.is_empty() {
            let place = format!("{} at {} px", self.path()?, self.size().width);
            self.faults.borrow_mut().push(format!("{place}:\n{}", faults.join("\n")));
        }
        Ok(())
    }

    /// What all the looks came to.
    ///
    /// # Errors
    /// With everything that was wrong anywhere.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let faults = self.faults.borrow();
        anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    }

    /// Errors and warnings since the last look.
    fn console(&self) -> anyhow::Result<Vec<String>> {
        let log = self.run(self.driver()?.browser_log())?;
        let refusals = std::mem::take(&mut *self.refusals.borrow_mut());
        let meant = |message: &str| {
            refusals
                .iter()
                .any(|status| message.contains(&format!("responded with a status of {status} ")))
        };
        Ok(log
            .into_iter()
            .filter(|entry| matches!(&*entry.level, "SEVERE" | "WARNING") && !meant(&entry.message))
            .map(|entry| format!("console: {} {}", entry.level, entry.message))
            .collect())
    }

    /// What was loaded from elsewhere.
    fn strangers(&self) -> anyhow::Result<Vec<String>> {
        let loaded = "return performance.getEntriesByType('resource').map(it => it.name)";
        let loaded = self.script(loaded, &[])?;
        let loaded = loaded.as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(loaded
            .filter(|url| !url.starts_with(&self.base))
            .map(|url| format!("loaded from elsewhere: {url}"))
            .collect())
    }

    /// What reaches beyond the window, for which one would have to scroll sideways.
    fn overflow(&self) -> anyhow::Result<Vec<String>> {
        let width = self.script("return document.documentElement.scrollWidth", &[])?;
        if width.as_u64() <= Some(self.size().width.into()) {
            return Ok(Vec::new());
        }
        let wide = "return [...document.querySelectorAll('body *')]
            .filter(it => it.getBoundingClientRect().right > arguments[0] && it.checkVisibility())
            .map(it => it.outerHTML.slice(0, 120)).slice(0, 5)";
        let wide = self.script(wide, &[self.size().width.into()])?;
        Ok(vec![format!("the page is {width} px wide: {wide:#}")])
    }

    /// What axe-core finds, by all its rules or by the named ones.
    fn axe(&self, rules: &Value) -> anyhow::Result<Vec<String>> {
        if self.script("return typeof window.axe", &[])? != "object" {
            self.script(axe_source()?, &[])?;
        }
        let run = "const [rules, done] = arguments;
            const options = {resultTypes: ['violations'], preload: false};
            if (rules) options.runOnly = rules;
            axe.run(document, options).then(
                found => done(found.violations.map(it => [
                    it.id, it.help, it.nodes.map(node => [node.html, node.failureSummary]),
                ])),
                error => done([['axe', String(error), []]]),
            )";
        let found = self.script_async(run, std::slice::from_ref(rules))?;
        let found = found.as_array().context("axe-core answers with a list")?;
        Ok(found.iter().map(|fault| format!("axe-core: {fault:#}")).collect())
    }
}

/// The script, as its makers give it out.
fn axe_source() -> anyhow::Result<&'static str> {
    static SOURCE: OnceLock<String> = OnceLock::new();
    if let Some(source) = SOURCE.get() {
        return Ok(source);
    }
    let file = workspace().join("tests/vendor/axe-core/axe.min.js");
    let source = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(SOURCE.get_or_init(|| source))
}
