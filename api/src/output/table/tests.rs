use super::*;

fn sample() -> Table {
    let mut table = Table::new(["SERVICE", "VERSION", "REASON"]);
    table.row(["httpbin", "1.0.0", ""]).row(["a", "No Version", ""]);
    table
}

fn terminal(table: &Table, width: usize) -> String {
    table.render(Style::Terminal { width })
}

/// Every kind of column, and every kind of cell that gave trouble.
fn events() -> Table {
    let mut table = Table::new([
        Column::whole("REVISION"),
        Column::words("AT"),
        Column::spare("EVENT"),
        Column::words("WHAT"),
        Column::whole("ACTOR"),
        Column::words("REASON"),
        Column::whole("COMMIT"),
    ]);
    let at = "2026-01-02 03:04:05Z";
    let why = "the new checkout needs its own timeouts";
    table.row([
        "12",
        at,
        "version.promoted",
        "sync shop 1.1.0 to production",
        "admin",
        why,
        "1a2b",
    ]);
    table.row(["11", at, "service.created", "create service shop", "jane.doe", "", "2b3c"]);
    table
}

fn matrix(groups: usize) -> Table {
    let names = (1..=groups).map(|number| Column::words(format!("group-{number}")));
    let own = ["SERVICE", "LATEST"].map(Column::whole).into_iter();
    let mut table = Table::new(own.chain(names)).continued();
    let cells = |service: &str, cell: &str| {
        let mut cells = vec![service.to_owned(), "1.1.0".to_owned()];
        cells.extend((0..groups).map(|_| cell.to_owned()));
        cells
    };
    table.row(cells("checkout", "1.0.0 + changes"));
    table.row(cells("a", "1.1.0 (not live: an upstream has no nodes)"));
    table
}

#[test]
fn plain_text_is_aligned_and_unruled() {
    assert_eq!(
        sample().without_empty_columns().render(Style::Plain),
        "SERVICE  VERSION\nhttpbin  1.0.0\na        No Version"
    );
}

#[test]
fn plain_text_does_not_fold() {
    let mut table = Table::new([Column::words("A"), Column::spare("B")]);
    table.row(["x ".repeat(300), "y ".repeat(300)]);
    assert_eq!(table.render(Style::Plain).lines().count(), 2);
}

#[test]
fn a_terminal_gets_rules() {
    assert_eq!(
        terminal(&sample().without_empty_columns(), 80),
        "╭─────────┬────────────╮\n\
         │ SERVICE ┆ VERSION    │\n\
         ╞═════════╪════════════╡\n\
         │ httpbin ┆ 1.0.0      │\n\
         │ a       ┆ No Version │\n\
         ╰─────────┴────────────╯"
    );
}

#[test]
fn words_are_folded_first_and_spare_columns_left_out_then() {
    assert_eq!(
        terminal(&events(), 120),
        "╭──────────┬──────────────────────┬──────────────────┬─────────────────────┬──────────┬──────────────────┬────────╮\n\
         │ REVISION ┆ AT                   ┆ EVENT            ┆ WHAT                ┆ ACTOR    ┆ REASON           ┆ COMMIT │\n\
         ╞══════════╪══════════════════════╪══════════════════╪═════════════════════╪══════════╪══════════════════╪════════╡\n\
         │ 12       ┆ 2026-01-02 03:04:05Z ┆ version.promoted ┆ sync shop 1.1.0 to  ┆ admin    ┆ the new checkout ┆ 1a2b   │\n\
         │          ┆                      ┆                  ┆ production          ┆          ┆ needs its own    ┆        │\n\
         │          ┆                      ┆                  ┆                     ┆          ┆ timeouts         ┆        │\n\
         │ 11       ┆ 2026-01-02 03:04:05Z ┆ service.created  ┆ create service shop ┆ jane.doe ┆                  ┆ 2b3c   │\n\
         ╰──────────┴──────────────────────┴──────────────────┴─────────────────────┴──────────┴──────────────────┴────────╯"
    );
    assert_eq!(
        terminal(&events(), 80),
        "╭──────────┬────────────┬──────────────┬──────────┬──────────────────┬────────╮\n\
         │ REVISION ┆ AT         ┆ WHAT         ┆ ACTOR    ┆ REASON           ┆ COMMIT │\n\
         ╞══════════╪════════════╪══════════════╪══════════╪══════════════════╪════════╡\n\
         │ 12       ┆ 2026-01-02 ┆ sync shop    ┆ admin    ┆ the new checkout ┆ 1a2b   │\n\
         │          ┆ 03:04:05Z  ┆ 1.1.0 to     ┆          ┆ needs its own    ┆        │\n\
         │          ┆            ┆ production   ┆          ┆ timeouts         ┆        │\n\
         │ 11       ┆ 2026-01-02 ┆ create       ┆ jane.doe ┆                  ┆ 2b3c   │\n\
         │          ┆ 03:04:05Z  ┆ service shop ┆          ┆                  ┆        │\n\
         ╰──────────┴────────────┴──────────────┴──────────┴──────────────────┴────────╯"
    );
}

#[test]
fn where_not_even_that_helps_rows_are_told_one_by_one() {
    assert_eq!(
        terminal(&events(), 40),
        "REVISION  12\n\
         AT        2026-01-02 03:04:05Z\n\
         EVENT     version.promoted\n\
         WHAT      sync shop 1.1.0 to production\n\
         ACTOR     admin\n\
         REASON    the new checkout needs its own\n\
         \x20         timeouts\n\
         COMMIT    1a2b\n\
         \n\
         REVISION  11\n\
         AT        2026-01-02 03:04:05Z\n\
         EVENT     service.created\n\
         WHAT      create service shop\n\
         ACTOR     jane.doe\n\
         COMMIT    2b3c"
    );
}

#[test]
fn a_table_is_continued_below() {
    assert_eq!(
        terminal(&matrix(4), 60),
        "╭──────────┬────────┬──────────────────┬──────────────────╮\n\
         │ SERVICE  ┆ LATEST ┆ group-1          ┆ group-2          │\n\
         ╞══════════╪════════╪══════════════════╪══════════════════╡\n\
         │ checkout ┆ 1.1.0  ┆ 1.0.0 + changes  ┆ 1.0.0 + changes  │\n\
         │ a        ┆ 1.1.0  ┆ 1.1.0 (not live: ┆ 1.1.0 (not live: │\n\
         │          ┆        ┆ an upstream has  ┆ an upstream has  │\n\
         │          ┆        ┆ no nodes)        ┆ no nodes)        │\n\
         ╰──────────┴────────┴──────────────────┴──────────────────╯\n\
         ╭──────────┬─────────────────────┬─────────────────────╮\n\
         │ SERVICE  ┆ group-3             ┆ group-4             │\n\
         ╞══════════╪═════════════════════╪═════════════════════╡\n\
         │ checkout ┆ 1.0.0 + changes     ┆ 1.0.0 + changes     │\n\
         │ a        ┆ 1.1.0 (not live: an ┆ 1.1.0 (not live: an │\n\
         │          ┆ upstream has no     ┆ upstream has no     │\n\
         │          ┆ nodes)              ┆ nodes)              │\n\
         ╰──────────┴─────────────────────┴─────────────────────╯"
    );
    assert_eq!(terminal(&matrix(4), 200).matches('╭').count(), 1);
}

#[test]
fn no_word_is_broken_and_no_line_too_long_at_any_width() {
    for table in [events(), matrix(1), matrix(9), sample()] {
        let words: Vec<&String> = table.rows.iter().flatten().collect();
        let words: Vec<&str> = words.iter().flat_map(|cell| cell.split(' ')).collect();
        for width in 30..260 {
            let drawn = terminal(&table, width);
            let longest = drawn.lines().map(text::width).max().unwrap_or(0);
            assert!(longest <= width, "{longest} columns of {width}:\n{drawn}");
            for word in
                drawn.split(|one: char| one.is_whitespace() || "│┆╭─┬╮╞═╪╡╰┴╯".contains(one))
            {
                let known =
                    words.contains(&word) || table.columns.iter().any(|column| column.name == word);
                assert!(known || word.is_empty(), "{word} at {width}:\n{drawn}");
            }
        }
    }
}

#[test]
fn fields_stand_beside_their_names() {
    let mut table = Table::fields();
    table.field("name", "uat").field("description", "").field("revision", "3");
    assert_eq!(table.render(Style::Plain), "name      uat\nrevision  3");
    table.field("hosts", "a.acme.com, b.acme.com");
    assert_eq!(
        terminal(&table, 24),
        "name      uat\nrevision  3\nhosts     a.acme.com,\n          b.acme.com"
    );
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut table = Table::new(["A"]);
    table.row(["red \u{1b}[31m\r\nend"]);
    assert_eq!(table.render(Style::Plain), "A\nred \\u{1b}[31m\\r\\nend");
}
