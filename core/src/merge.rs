//! Three-way merge of versioned content by meaning.
//!
//! Files and objects by key, sets as sets, lists of named things by name, everything else as one
//! value. What one side left alone takes the other's value; what both changed differently is a
//! conflict, told with all three values. What both made where there was nothing is merged as if it had
//! been empty before, except for sets: an empty one may mean anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::json::join;

/// The documents of a service's content by path, each with every default filled in.
pub(crate) type Content = BTreeMap<String, Value>;

/// Who wins where both sides changed the same thing differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// Nobody: the promotion is refused.
    #[default]
    Abort,
    /// The version that comes.
    Theirs,
    /// The target.
    Ours,
}

/// Conflicts that were settled one by one, by file and RFC 6901 pointer: who wins there. What is
/// settled for [`OnConflict::Abort`] is not settled.
pub type Settled = BTreeMap<(String, String), OnConflict>;

/// What both sides changed differently.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clash {
    pub(crate) file: String,
    pub(crate) pointer: String,
    pub(crate) base: Option<Value>,
    pub(crate) ours: Option<Value>,
    pub(crate) theirs: Option<Value>,
}

/// The merged content, with every clash settled as `settled` says, else in favour of `on_conflict`,
/// and the clashes.
pub(crate) fn merge(
    base: &Content,
    ours: &Content,
    theirs: &Content,
    on_conflict: OnConflict,
    settled: &Settled,
) -> (Content, Vec<Clash>) {
    let paths: BTreeSet<&String> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
    let mut merged = Content::new();
    let mut clashes = Vec::new();
    for path in paths {
        let mut merger = Merger { file: path, on_conflict, settled, clashes: &mut clashes };
        let sides = Sides { base: base.get(path), ours: ours.get(path), theirs: theirs.get(path) };
        if let Some(value) = merger.value(sides, "") {
            merged.insert(path.clone(), value);
        }
    }
    (merged, clashes)
}

#[derive(Clone, Copy)]
struct Sides<'v> {
    base: Option<&'v Value>,
    ours: Option<&'v Value>,
    theirs: Option<&'v Value>,
}

struct Merger<'a> {
    file: &'a str,
    on_conflict: OnConflict,
    settled: &'a Settled,
    clashes: &'a mut Vec<Clash>,
}

impl Merger<'_> {
    fn value(&mut self, sides: Sides<'_>, pointer: &str) -> Option<Value> {
        let Sides { base, ours, theirs } = sides;
        if ours == theirs || theirs == base {
            return ours.cloned();
        }
        if ours == base {
            return theirs.cloned();
        }
        // What both made without a base has nothing in common but its place: nothing was there.
        let (no_object, no_list) = (Map::new(), Vec::new());
        match (base, ours, theirs) {
            (
                None | Some(Value::Object(_)),
                Some(Value::Object(ours)),
                Some(Value::Object(theirs)),
            ) => {
                let base = base.and_then(Value::as_object).unwrap_or(&no_object);
                Some(Value::Object(self.object(base, ours, theirs, pointer)))
            }
            (Some(Value::Array(base)), Some(Value::Array(ours)), Some(Value::Array(theirs)))
                if is_set(pointer) =>
            {
                set(base, ours, theirs).or_else(|| self.clash(sides, pointer))
            }
            (
                None | Some(Value::Array(_)),
                Some(Value::Array(ours)),
                Some(Value::Array(theirs)),
            ) if is_named_list(pointer) => {
                let base = base.and_then(Value::as_array).unwrap_or(&no_list);
                self.named_list([base, ours, theirs], pointer)
                    .or_else(|| self.clash(sides, pointer))
            }
            _ => self.clash(sides, pointer),
        }
    }

    fn clash(&mut self, sides: Sides<'_>, pointer: &str) -> Option<Value> {
        self.clashes.push(Clash {
            file: self.file.to_owned(),
            pointer: pointer.to_owned(),
            base: sides.base.cloned(),
            ours: sides.ours.cloned(),
            theirs: sides.theirs.cloned(),
        });
        match winner(self.settled, self.on_conflict, self.file, pointer) {
            OnConflict::Theirs => sides.theirs.cloned(),
            OnConflict::Abort | OnConflict::Ours => sides.ours.cloned(),
        }
    }

    fn object(
        &mut self,
        base: &Map<String, Value>,
        ours: &Map<String, Value>,
        theirs: &Map<String, Value>,
        pointer: &str,
    ) -> Map<String, Value> {
        let keys: BTreeSet<&String> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
        keys.into_iter()
            .filter_map(|key| {
                let sides =
                    Sides { base: base.get(key), ours: ours.get(key), theirs: theirs.get(key) };
                let value = self.value(sides, &join(pointer, key))?;
                Some((key.clone(), value))
            })
            .collect()
    }

    /// Merges lists by the `name` of their entries; nothing when a name stands in one list twice.
    ///
    /// A pointer into a list has a number (RFC 6901): that of the entry in ours. What ours lacks is counted
    /// behind its own entries, in the order of theirs, then of base, so that every entry has a place of its own.
    fn named_list(&mut self, lists: [&Vec<Value>; 3], pointer: &str) -> Option<Value> {
        let [base, ours, theirs] = lists.map(|list| by_name(list));
        let (base, ours, theirs) = (base?, ours?, theirs?);
        let [in_base, in_ours, in_theirs] = lists.map(|list| list.iter().filter_map(name_of));
        let lacking = in_theirs.chain(in_base.clone()).filter(|name| !ours.contains_key(name));
        let mut places = BTreeMap::new();
        for name in in_ours.chain(lacking) {
            let next = places.len();
            places.entry(name).or_insert(next);
        }
        let added: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
        // The base's order, then what is new by name, so that the sides are alike.
        let order: Vec<&str> =
            in_base.chain(added.into_iter().filter(|name| !base.contains_key(name))).collect();
        let merged = order.into_iter().filter_map(|name| {
            let sides = Sides {
                base: base.get(name).copied(),
                ours: ours.get(name).copied(),
                theirs: theirs.get(name).copied(),
            };
            // A predicate is one value: parts of two tests make no test.
            if sides.ours == sides.theirs || sides.theirs == sides.base {
                sides.ours.cloned()
            } else if sides.ours == sides.base {
                sides.theirs.cloned()
            } else {
                self.clash(sides, &join(pointer, &places[name].to_string()))
            }
        });
        Some(merged.collect())
    }
}

/// Who wins at a place.
pub(crate) fn winner(
    settled: &Settled,
    on_conflict: OnConflict,
    file: &str,
    pointer: &str,
) -> OnConflict {
    settled.get(&(file.to_owned(), pointer.to_owned())).copied().unwrap_or(on_conflict)
}

/// Lists whose order means nothing and whose entries stand once.
fn is_set(pointer: &str) -> bool {
    matches!(pointer, "/paths" | "/methods" | "/match/remote_addrs")
}

/// Lists whose entries are known by their name.
fn is_named_list(pointer: &str) -> bool {
    matches!(pointer, "/match/headers" | "/match/query" | "/match/cookies")
}

/// The base's order, then what is new in the order of its text, so that the sides are alike.
///
/// The empty list is no set of nothing: it takes any method or address. Sides of which one is open,
/// or which would be open only together, have no sum.
fn set(base: &[Value], ours: &[Value], theirs: &[Value]) -> Option<Value> {
    let stays = |value: &&Value| ours.contains(value) && theirs.contains(value);
    let added: BTreeMap<String, &Value> = ours
        .iter()
        .chain(theirs)
        .filter(|value| !base.contains(value))
        .map(|value| (value.to_string(), value))
        .collect();
    let merged: Vec<Value> =
        base.iter().filter(stays).chain(added.into_values()).cloned().collect();
    let open = [base, ours, theirs, &merged].into_iter().any(<[Value]>::is_empty);
    (!open).then_some(Value::Array(merged))
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.get("name").and_then(Value::as_str)
}

fn by_name(list: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let named: Option<BTreeMap<_, _>> =
        list.iter().map(|entry| name_of(entry).map(|name| (name, entry))).collect();
    named.filter(|named| named.len() == list.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn merge(
        base: &Content,
        ours: &Content,
        theirs: &Content,
        on_conflict: OnConflict,
    ) -> (Content, Vec<Clash>) {
        super::merge(base, ours, theirs, on_conflict, &Settled::new())
    }

    #[test]
    fn conflicts_are_settled_one_by_one() {
        let of = |a: i32, b: i32| route(json!({"a": a, "b": b}));
        let here = |pointer: &str| ("routes/r.json".to_owned(), pointer.to_owned());
        let settled = Settled::from([(here("/a"), OnConflict::Theirs)]);
        let merge = |otherwise| super::merge(&of(0, 0), &of(1, 1), &of(2, 2), otherwise, &settled);
        assert_eq!(merge(OnConflict::Ours).0, of(2, 1));
        assert_eq!(merge(OnConflict::Abort).1.len(), 2, "both are told");
    }

    fn route(value: Value) -> Content {
        Content::from([("routes/r.json".to_owned(), value)])
    }

    #[test]
    fn by_meaning() {
        let base = json!({"paths": ["/a"], "methods": ["GET"], "priority": 0, "labels": {"x": "1"},
            "match": {"headers": [{"name": "h", "value": "1"}]}});
        let ours = json!({"paths": ["/a", "/o"], "methods": [], "priority": 0,
            "labels": {"x": "1", "o": "1"},
            "match": {"headers": [{"name": "h", "value": "1"}, {"name": "o", "present": true}]}});
        let theirs = json!({"paths": ["/t", "/a"], "methods": ["GET"], "priority": 5, "labels": {},
            "match": {"headers": [{"name": "h", "value": "2"}]}});
        let (merged, clashes) =
            merge(&route(base), &route(ours), &route(theirs), OnConflict::Abort);
        assert_eq!(clashes, []);
        let expected = json!({"paths": ["/a", "/o", "/t"], "methods": [], "priority": 5,
            "labels": {"o": "1"},
            "match": {"headers": [{"name": "h", "value": "2"}, {"name": "o", "present": true}]}});
        assert_eq!(merged, route(expected));
    }

    #[test]
    fn clashes() {
        let base = route(json!({"priority": 0, "timeout": {"read": 60}}));
        let ours = route(json!({"priority": 1, "timeout": {"read": 60}}));
        let theirs = route(json!({"priority": 2, "timeout": {"read": 10}}));
        let (merged, clashes) = merge(&base, &ours, &theirs, OnConflict::Theirs);
        assert_eq!(merged, theirs);
        let [clash] = &clashes[..] else { panic!("one clash: {clashes:?}") };
        assert_eq!((clash.pointer.as_str(), &clash.ours), ("/priority", &Some(json!(1))));
        let (merged, _) = merge(&base, &ours, &theirs, OnConflict::Ours);
        assert_eq!(merged, route(json!({"priority": 1, "timeout": {"read": 10}})));

        // Each side takes a method away: together that would be none, which means all.
        let of = |methods: Value| route(json!({"methods": methods}));
        let table = [
            (json!(["GET", "PUT"]), json!(["GET"]), json!(["PUT"])),
            (json!(["GET"]), json!([]), json!(["GET", "PUT"])),
            (json!([]), json!(["GET"]), json!(["PUT"])),
        ];
        for (base, ours, theirs) in table {
            let (merged, clashes) =
                merge(&of(base), &of(ours), &of(theirs.clone()), OnConflict::Theirs);
            assert_eq!((merged, clashes.len()), (of(theirs), 1));
        }

        let gone = Content::new();
        assert_eq!(merge(&base, &gone, &base, OnConflict::Abort), (gone.clone(), vec![]));
        assert_eq!(merge(&base, &gone, &theirs, OnConflict::Abort).1.len(), 1);
    }

    #[test]
    fn what_both_made_without_a_base_is_merged_by_key() {
        let of = |paths: Value, priority: i32, labels: Value, headers: Value| {
            route(json!({"paths": paths, "priority": priority, "labels": labels,
                "match": {"headers": headers}}))
        };
        let (one, two) = (json!({"name": "h", "value": "1"}), json!({"name": "h", "value": "2"}));
        let other = json!({"name": "i", "present": true});
        let ours = of(json!(["/a"]), 1, json!({"o": "1"}), json!([one]));
        let theirs = of(json!(["/b"]), 2, json!({"t": "1"}), json!([other, two]));
        let (merged, clashes) = merge(&Content::new(), &ours, &theirs, OnConflict::Theirs);
        let places: Vec<&str> = clashes.iter().map(|clash| clash.pointer.as_str()).collect();
        assert_eq!(places, ["/match/headers/0", "/paths", "/priority"]);
        let both = json!({"o": "1", "t": "1"});
        assert_eq!(merged, of(json!(["/b"]), 2, both, json!([two, other])));
        assert!(clashes.iter().all(|clash| clash.base.is_none()));
        let same = of(json!(["/a"]), 1, json!({}), json!([]));
        let (merged, clashes) = merge(&Content::new(), &ours, &same, OnConflict::Abort);
        assert_eq!((merged, clashes), (ours, vec![]));
    }

    #[test]
    fn entries_of_lists_have_numbers() {
        let of = |entries: &[(&str, i32)]| {
            let entries = entries.iter().map(|(name, value)| json!({"name": name, "value": value}));
            route(json!({"match": {"query": entries.collect::<Value>()}}))
        };
        let base = of(&[("gone", 0), ("a", 0), ("b", 0), ("lost", 0)]);
        let ours = of(&[("own", 0), ("b", 1), ("a", 1)]);
        let theirs = of(&[("new", 0), ("lost", 2), ("a", 2), ("gone", 2), ("b", 2)]);
        let (_, clashes) = merge(&base, &ours, &theirs, OnConflict::Abort);
        let told = clashes.iter().map(|clash| {
            let name = clash.theirs.as_ref().and_then(name_of).unwrap_or_default();
            (name, clash.pointer.as_str())
        });
        // "new" is counted, though it is no conflict: the first that ours lacks.
        let expected = [
            ("gone", "/match/query/5"),
            ("a", "/match/query/2"),
            ("b", "/match/query/1"),
            ("lost", "/match/query/4"),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    fn content() -> impl Strategy<Value = Content> {
        let names = proptest::sample::subsequence(vec!["/a", "/b", "/c"], 0..=3);
        let methods = proptest::sample::subsequence(vec!["GET", "PUT"], 0..=2);
        let labels = proptest::collection::btree_map("[ab/~]", "[12]", 0..=2);
        let header = (proptest::sample::subsequence(vec!["h", "i", "j"], 0..=3).prop_shuffle())
            .prop_flat_map(|names| {
                let count = names.len();
                (Just(names), proptest::collection::vec(1..3, count))
            });
        let document = (names, methods, 0..3, labels, header).prop_map(
            |(paths, methods, priority, labels, (headers, values))| {
                let headers = headers.into_iter().zip(values);
                let headers: Value =
                    headers.map(|(name, value)| json!({"name": name, "value": value})).collect();
                json!({"paths": paths, "methods": methods, "priority": priority, "labels": labels,
                   "match": {"headers": headers}})
            },
        );
        proptest::collection::btree_map(
            prop_oneof![Just("service.json".to_owned()), Just("routes/r.json".to_owned())],
            document,
            0..=2,
        )
    }

    proptest! {
        #[test]
        fn laws(b in content(), x in content(), y in content()) {
            for side in EVERY_SIDE {
                prop_assert_eq!(merge(&b, &x, &b, side), (x.clone(), vec![]));
                prop_assert_eq!(merge(&b, &b, &x, side), (x.clone(), vec![]));
                prop_assert_eq!(merge(&b, &x, &x, side), (x.clone(), vec![]));
            }
            let (one, clashes) = merge(&b, &x, &y, OnConflict::Abort);
            let (other, mirrored) = merge(&b, &y, &x, OnConflict::Abort);
            prop_assert_eq!(clashes.len(), mirrored.len());
            if clashes.is_empty() {
                prop_assert_eq!(one, other);
            }
            // Settling in favour of a side is the mirrored merge settled in favour of the other.
            prop_assert_eq!(
                merge(&b, &x, &y, OnConflict::Theirs).0,
                merge(&b, &y, &x, OnConflict::Ours).0
            );
            // A pointer leads to what the target has there, and to one conflict alone.
            let mut places = BTreeSet::new();
            for Clash { file, pointer, ours, .. } in &clashes {
                prop_assert_eq!(x.get(file).and_then(|file| file.pointer(pointer)), ours.as_ref());
                prop_assert!(places.insert((file, pointer)), "{file} {pointer} twice");
            }
        }
    }

    const EVERY_SIDE: [OnConflict; 3] = [OnConflict::Abort, OnConflict::Ours, OnConflict::Theirs];
}
