//! The vocabulary of users.

/// Topics of papers: a name, and six subjects of papers.
pub(super) const TOPICS: [(&str, [&str; 6]); 8] = [
    (
        "astronomy",
        [
            "comets", "moons", "galaxies", "eclipses", "meteors", "planets",
        ],
    ),
    (
        "cooking",
        ["soups", "sauces", "bread", "spices", "cakes", "noodles"],
    ),
    (
        "music",
        ["songs", "violins", "choirs", "drums", "melodies", "pianos"],
    ),
    (
        "gardens",
        [
            "roses",
            "hedges",
            "lawns",
            "seeds",
            "apple trees",
            "compost",
        ],
    ),
    (
        "robots",
        [
            "grippers",
            "motors",
            "walking robots",
            "drones",
            "sensors",
            "gears",
        ],
    ),
    (
        "sailing",
        ["boats", "sails", "tides", "harbours", "anchors", "masts"],
    ),
    (
        "history",
        ["castles", "coins", "letters", "kings", "markets", "maps"],
    ),
    (
        "health",
        ["sleep", "vaccines", "teeth", "running", "stress", "diets"],
    ),
];

/// What a paper does with its subject.
pub(super) const STUDIES: [&str; 6] = ["measure", "explain", "compare", "model", "review", "count"];

/// The circumstances under which it does so.
pub(super) const CIRCUMSTANCES: [&str; 6] = [
    "in winter",
    "over many years",
    "at night",
    "near the coast",
    "with simple tools",
    "in small towns",
];

/// A tag, and three descriptions of films that get it.
type Tag = (&'static str, [&'static str; 3]);

/// Three aspects of a film. Each has five tags, and each tag has three descriptions.
pub(super) const SIDES: [(&str, [Tag; 5]); 3] = [
    (
        "plot",
        [
            (
                "revenge",
                [
                    "a son hunts the man who ruined his father",
                    "a widow settles an old score",
                    "two brothers make a traitor pay",
                ],
            ),
            (
                "heist",
                [
                    "four friends plan to empty a bank",
                    "a thief wants one last jewel",
                    "a crew steals a painting",
                ],
            ),
            (
                "quest",
                [
                    "a girl seeks a lost crown",
                    "three strangers look for a hidden door",
                    "an old man follows a torn map",
                ],
            ),
            (
                "romance",
                [
                    "two dancers fall for each other",
                    "a baker writes to a stranger",
                    "old sweethearts meet again",
                ],
            ),
            (
                "mystery",
                [
                    "nobody knows who broke the clock",
                    "a guest is gone and left no trace",
                    "a doctor finds a letter without a name",
                ],
            ),
        ],
    ),
    (
        "place",
        [
            (
                "space",
                [
                    "on a ship between stars",
                    "on a moon base",
                    "far above the earth",
                ],
            ),
            (
                "desert",
                [
                    "among endless dunes",
                    "at a dry well",
                    "under a burning sun",
                ],
            ),
            (
                "city",
                [
                    "between towers and trams",
                    "in a crowded subway",
                    "on the roofs of a capital",
                ],
            ),
            (
                "sea",
                ["on a fishing boat", "below the waves", "on a lonely island"],
            ),
            (
                "forest",
                [
                    "under tall pines",
                    "in a hut among trees",
                    "where wolves howl",
                ],
            ),
        ],
    ),
    (
        "mood",
        [
            (
                "funny",
                [
                    "you laugh all the time",
                    "every scene is a joke",
                    "it never takes itself seriously",
                ],
            ),
            (
                "gloomy",
                [
                    "all of it is sad and grey",
                    "there is little hope in it",
                    "it ends in tears",
                ],
            ),
            (
                "tense",
                [
                    "you hold your breath",
                    "danger is near in every scene",
                    "it never lets you rest",
                ],
            ),
            (
                "gentle",
                [
                    "it is warm and kind",
                    "it takes its time and smiles",
                    "everybody means well",
                ],
            ),
            (
                "strange",
                [
                    "nothing makes sense at first",
                    "it feels like a dream",
                    "you have never seen such a thing",
                ],
            ),
        ],
    ),
];

/// Products that people review.
pub(super) const PRODUCTS: [&str; 10] = [
    "lamp", "kettle", "chair", "radio", "jacket", "blender", "backpack", "mirror", "fan", "clock",
];

/// Opinions about a product, from the worst to the best.
pub(super) const OPINIONS: [[&str; 3]; 5] = [
    ["is a disaster", "broke at once", "is pure junk"],
    ["is rather weak", "has many flaws", "is a bit poor"],
    ["is decent", "does its job", "is neither good nor bad"],
    ["is really good", "works very well", "is a nice surprise"],
    ["is perfect", "is the best there is", "exceeds all hopes"],
];

/// Remarks that say nothing about quality.
pub(super) const ASIDES: [&str; 6] = [
    "it came on monday",
    "my sister has one too",
    "the box was blue",
    "i bought it for work",
    "it stands in the hall",
    "the colour is green",
];

/// Parts of a sentence: who did something, what, and when.
pub(super) const SUBJECTS: [&str; 8] = [
    "the rain",
    "our train",
    "the old dog",
    "my neighbour",
    "the cat",
    "a new shop",
    "the band",
    "the teacher",
];
pub(super) const EVENTS: [&str; 8] = [
    "came late",
    "made some noise",
    "was very quiet",
    "went away",
    "came back",
    "stopped again",
    "got in the way",
    "made us wait",
];
pub(super) const TIMES: [&str; 6] = [
    "this morning",
    "at noon",
    "last night",
    "on sunday",
    "after lunch",
    "in the park",
];
