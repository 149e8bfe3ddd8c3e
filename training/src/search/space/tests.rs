#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;

use crossburn_noise::path_hash;

use super::*;

fn space(text: &str) -> Result<Space, String> {
    let config =
        toml::from_str::<SpaceConfig>(text).map_err(|error| error.message().to_string())?;
    Space::new(config).map_err(|error| error.to_string())
}

/// Two to three layers with channels of their own, and a kernel.
fn layered() -> Space {
    let text = r#"
        name = "layered"
        network.layers = [2, 3]
        network.channels = { times = "layers", of = [4, 8] }
        network.kernel = [3, 5, 7]
    "#;
    space(text).unwrap()
}

#[test]
fn sizes_count_unused_positions_once() {
    let space = layered();
    // (2² + 2³) · 3
    assert_eq!(space.size(), 36.0);
    let all: Vec<Design> = space.designs().collect();
    assert_eq!(all.len(), 36);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 36);
    assert!(
        all.iter()
            .all(|design| space.design(design.0.clone()).as_ref() == Some(design))
    );
}

#[test]
fn texts_name_designs_for_good() {
    let space = layered();
    for design in space.designs() {
        let text = space.text(&design);
        assert_eq!(space.parse(&text).unwrap(), design, "{text}");
    }
    let design = space.parse("layers=2 kernel=5 channels=8,4").unwrap();
    assert_eq!(space.text(&design), "channels=8,4 kernel=5 layers=2");
    assert_eq!(
        space.json(&design),
        r#"{"channels":[8,4],"kernel":5,"layers":2}"#
    );
    // Results that were kept are found by it: FNV-1a of the text with the finalizer of SplitMix64.
    assert_eq!(
        space.hash(&design),
        path_hash("channels=8,4 kernel=5 layers=2")
    );
}

#[test]
fn what_is_no_design_is_refused_by_name() {
    for (text, part) in [
        ("channels=8,4 kernel=5", "axis `layers` is missing"),
        (
            "channels=8 kernel=5 layers=2",
            "axis `channels` has 1 choices, not 2",
        ),
        (
            "channels=8,4 kernel=9 layers=2",
            "axis `kernel` has no choice 9: it has 3, 5, 7",
        ),
        (
            "channels=8,4 kernel=5 layers=2 more=1",
            "there is no axis `more`",
        ),
        (
            "channels=8,4 kernel=5 kernel=5 layers=2",
            "axis `kernel` is given twice",
        ),
        ("channels", "`channels` is not AXIS=CHOICE"),
    ] {
        let message = layered().parse(text).unwrap_err().to_string();
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn spaces_that_make_no_sense_are_refused_by_name() {
    for (text, part) in [
        ("name = \"a b\"", "`a b` cannot name a space"),
        ("name = \"a\"", "it has no axis"),
        ("name = \"a\"\nnetwork.x = []", "axis `x` has 0 choices"),
        (
            "name = \"a\"\nnetwork.x = [1, 1.0]",
            "axis `x` has the choice 1 twice",
        ),
        ("name = \"a\"\nnetwork.x = [nan]", "is not finite"),
        ("name = \"a\"\nnetwork.x = [\"a b\"]", "is not a word"),
        (
            "name = \"a\"\nnetwork.x = [\"1e3\"]",
            "is a number in quotes",
        ),
        (
            "name = \"a\"\nnetwork.x = 3",
            "an axis is a list of choices",
        ),
        (
            "name = \"a\"\nnetwork.x = [1]\nhardware.x = [1]",
            "both of the network and of the hardware",
        ),
        (
            "name = \"a\"\nnetwork.x = { times = 0, of = [1] }",
            "axis `x`: times = 0",
        ),
        (
            "name = \"a\"\nnetwork.x = { times = \"y\", of = [1] }",
            "is no single axis",
        ),
        (
            "name = \"a\"\nnetwork.x = { times = 200, of = [1] }\nnetwork.y = { times = 57, of = [1] }",
            "257 positions",
        ),
        (
            "name = \"a\"\nnetwork.x = [1, 2]\n[[constraint]]\nkind = \"sum\"\naxis = \"x\"\nat_most = 0",
            "no design that was tried",
        ),
        (
            "name = \"a\"\nnetwork.x = [1, 2]\n[[constraint]]\nkind = \"rising\"\naxis = \"y\"",
            "names the axis `y`",
        ),
        (
            "name = \"a\"\nnetwork.x = [\"b\"]\n[[constraint]]\nkind = \"rising\"\naxis = \"x\"",
            "compares the words",
        ),
        (
            "name = \"a\"\nnetwork.x = [1]\nmore = 1",
            "unknown field `more`",
        ),
    ] {
        let message = space(text).unwrap_err();
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn constraints_hold_for_all_that_is_drawn() {
    let text = r#"
        name = "bound"
        network.c = { times = 3, of = [1, 2, 3] }
        network.norm = ["none", "batch"]
        hardware.cell_bits = [1, 2, 4]
        hardware.weight_bits = [2, 4]
        [[constraint]]
        kind = "sum"
        axis = "c"
        at_most = 6
        [[constraint]]
        kind = "rising"
        axis = "c"
        [[constraint]]
        kind = "order"
        smaller = "cell_bits"
        larger = "weight_bits"
        [[constraint]]
        kind = "forbid"
        choices = { c = 3, norm = "none" }
    "#;
    let space = space(text).unwrap();
    let valid: BTreeSet<Design> = space
        .designs()
        .filter(|design| space.check(design).is_ok())
        .collect();
    // Rising triples with a sum of at most 6: 111 112 113 122 123 222; those with a 3 need the norm: 4 · 2 + 2; bits: 5 pairs.
    assert_eq!(valid.len(), 10 * 5);
    let mut draws = Draws::new(1, "test");
    let drawn: BTreeSet<Design> = (0..2000).filter_map(|_| space.draw(&mut draws)).collect();
    assert_eq!(drawn, valid);
    let mut design = space.draw(&mut draws).unwrap();
    for _ in 0..200 {
        let other = space.neighbour(&design, &mut draws).unwrap();
        let differ = other
            .0
            .iter()
            .zip(&design.0)
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(differ, 1);
        assert!(valid.contains(&other));
        design = other;
    }
    let broken = space
        .parse("c=3,2,1 cell_bits=1 norm=batch weight_bits=2")
        .unwrap_err();
    assert!(broken.to_string().contains("`c` falls"), "{broken}");
}

#[test]
fn an_anonymous_space_keeps_designs_and_hides_names() {
    let space = layered();
    let hidden = space.anonymous();
    assert_eq!(hidden.size(), space.size());
    assert!(hidden.designs().eq(space.designs()));
    let design = space.parse("layers=2 kernel=5 channels=8,4").unwrap();
    assert_eq!(hidden.text(&design), "v1=2,1 v2=2 v3=2");
    assert!(hidden.name() == "variables" && hidden.about().is_empty());
}
