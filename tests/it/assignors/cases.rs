//! Every case of `tests/fixtures/assignor_cases.json`: what Kafka's own tests and documentation say that its assignors give.
//!
//! The file says what its fields mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use streamlog::{
    Assignment, Assignor, MemberSubscription, PreviousAssignment, Subscriptions, TopicPartitions,
};

use super::rebalance::{assignor, partitions, settle};

fn cases() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/assignor_cases.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(file["schema"], 1);
    file["cases"].as_array().unwrap().clone()
}

/// The cases of one assignor; there must be as many as the file is known to have.
fn cases_of(name: &str, count: usize) -> Vec<Value> {
    let cases: Vec<Value> = cases().into_iter().filter(|case| case["assignor"] == name).collect();
    assert_eq!(cases.len(), count);
    cases
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// An object of lists of partitions.
fn assignment(object: &Value) -> Assignment {
    let members = object.as_object().unwrap().iter();
    members.map(|(id, given)| (id.clone(), partitions(&texts(given)))).collect()
}

fn subscriptions(case: &Value, assignor: &dyn Assignor) -> Subscriptions {
    let mut subscriptions = Subscriptions::new();
    for (topic, count) in case["topics"].as_object().unwrap() {
        subscriptions = subscriptions.topic(topic, count.as_u64().unwrap().try_into().unwrap());
    }
    for (topic, racks) in case["partition_racks"].as_object().into_iter().flatten() {
        let owned = |racks: &Value| texts(racks).into_iter().map(str::to_owned).collect();
        let racks = racks.as_array().unwrap().iter().map(owned).collect();
        subscriptions.topics.racks.insert(topic.clone(), racks);
    }
    for member in case["members"].as_array().unwrap() {
        let text = |field: &str| member[field].as_str().map(str::to_owned);
        let generation = member["generation"].as_i64().map(|generation| generation.try_into().unwrap());
        let mut subscription = MemberSubscription::new(text("id").unwrap(), texts(&member["topics"]));
        subscription.instance_id = text("instance");
        subscription.rack = text("rack");
        let owned = partitions(&texts(&member["owned"]));
        let previous = PreviousAssignment::new(&subscription.topics, &owned, generation);
        subscription.user_data = assignor.user_data(previous);
        if assignor.name() == "cooperative-sticky" {
            subscription.generation = generation;
            subscription.owned = owned;
        }
        subscriptions = subscriptions.member(subscription);
    }
    subscriptions
}

/// What changes hands from a member that is still there to one that did not own it.
fn transferring(case: &Value, result: &Assignment) -> BTreeMap<String, String> {
    let members = case["members"].as_array().unwrap().iter();
    let owned: Assignment = members
        .map(|member| (member["id"].as_str().unwrap().to_owned(), partitions(&texts(&member["owned"]))))
        .collect();
    let mut moved = BTreeMap::new();
    for (id, given) in result {
        for (topic, partition) in given.without(&owned[id]).iter() {
            if owned.values().any(|owned| owned.contains(topic, partition)) {
                moved.insert(format!("{topic}-{partition}"), id.clone());
            }
        }
    }
    moved
}

fn check_properties(case: &Value, result: &Assignment) {
    let properties = &case["properties"];
    for (id, size) in properties["sizes"].as_object().unwrap() {
        assert_eq!(result[id].len() as u64, size.as_u64().unwrap(), "{result:?}");
    }
    assert_eq!(properties["complete"], true, "what else is not known here");
    let topics = case["topics"].as_object().unwrap();
    let all: BTreeSet<String> =
        result.values().flat_map(TopicPartitions::iter).map(|(t, p)| format!("{t}-{p}")).collect();
    let given: usize = result.values().map(TopicPartitions::len).sum();
    assert_eq!(all.len(), given, "each once: {result:?}");
    assert_eq!(given as u64, topics.values().map(|count| count.as_u64().unwrap()).sum::<u64>());
    for id in properties.get("keeps_owned").map(texts).unwrap_or_default() {
        let member = case["members"].as_array().unwrap().iter().find(|member| member["id"] == id).unwrap();
        assert!(partitions(&texts(&member["owned"])).without(&result[id]).is_empty(), "{id}: {result:?}");
    }
}

fn check(case: &Value) {
    let assignor = assignor(case["assignor"].as_str().unwrap());
    let id = &case["id"];
    let subscriptions = subscriptions(case, &*assignor);
    let result = assignor.assign(&subscriptions);
    match case["check"].as_str().unwrap() {
        "exact" => assert_eq!(result, assignment(&case["expected"]), "{id}"),
        "properties" => check_properties(case, &result),
        other => panic!("{id} is checked by {other}"),
    }
    let last = match case.get("expected_final") {
        Some(expected) => {
            let last = settle(&*assignor, subscriptions, result);
            assert_eq!(last, assignment(expected), "{id}, in the end");
            last
        }
        None => result,
    };
    if let Some(expected) = case.get("transferring") {
        let expected: BTreeMap<String, String> = serde_json::from_value(expected.clone()).unwrap();
        assert_eq!(transferring(case, &last), expected, "{id}");
    }
}

#[test]
fn range_gives_what_kafka_s_gives() {
    cases_of("range", 13).iter().for_each(check);
}

#[test]
fn round_robin_gives_what_kafka_s_gives() {
    cases_of("roundrobin", 7).iter().for_each(check);
}

#[test]
fn sticky_gives_what_kafka_s_gives() {
    cases_of("sticky", 16).iter().for_each(check);
}

#[test]
fn cooperative_sticky_gives_what_kafka_s_gives() {
    cases_of("cooperative-sticky", 6).iter().for_each(check);
}

#[test]
fn there_are_no_other_cases() {
    assert_eq!(cases().len(), 13 + 7 + 16 + 6);
}
