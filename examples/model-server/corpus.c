/* The training text, written for this example: plain sentences about tides, bridges, gardens and
 * releases. The n-gram model learns from all of it; the classifier learns which topic is which.
 */
#include "examples/model-server/corpus.h"

const char *const corpus_topic_names[TOPIC_COUNT] = {
    [TOPIC_TIDES] = "tides",
    [TOPIC_BRIDGES] = "bridges",
    [TOPIC_GARDENS] = "gardens",
    [TOPIC_RELEASES] = "releases",
};

const struct corpus_sentence corpus[] = {
    {TOPIC_TIDES,
     "The tide comes in twice a day, and each time it is a little later than the day before."},
    {TOPIC_TIDES, "The sea does not hurry when the tide turns, it leans on the shore and waits."},
    {TOPIC_TIDES, "At low water the harbour smells of weed and rope, and the boats lie on their "
                  "sides in the mud."},
    {TOPIC_TIDES, "A spring tide has nothing to do with the season, it comes when the sun and the "
                  "moon pull in one line."},
    {TOPIC_TIDES, "A neap tide is a modest thing, and the water keeps to the middle of the beach."},
    {TOPIC_TIDES, "The old pilot kept a table of the tides in a tin box, and he trusted the wind "
                  "more than the table."},
    {TOPIC_TIDES, "When the wind blows from the west for three days, the high water stands higher "
                  "than the table says."},
    {TOPIC_TIDES, "The moon pulls the water, and the shape of the bay decides what the water does "
                  "with the pull."},
    {TOPIC_TIDES, "In a narrow bay the tide rises fast, and a walker who looks at the birds may "
                  "lose the path behind him."},
    {TOPIC_TIDES, "The channel fills first, then the sand between the channel and the dunes, and "
                  "then the small pools."},
    {TOPIC_TIDES,
     "Every pool on the shore is a room with its own weather, warm at noon and cold at night."},
    {TOPIC_TIDES,
     "The crabs know the hour of the tide better than the fishermen, and they never read a table."},
    {TOPIC_TIDES, "A boat that waits for the tide loses an hour, and a boat that does not wait may "
                  "lose its keel."},
    {TOPIC_TIDES,
     "The buoys lean with the current, and from their lean a sailor reads the speed of the water."},
    {TOPIC_TIDES,
     "At slack water the sea is quiet, and for a few minutes nothing on the surface moves."},
    {TOPIC_TIDES,
     "The ebb carries the silt out past the lighthouse and paints a brown line on the blue water."},
    {TOPIC_TIDES, "The flood brings the silt back, but never to the same place."},
    {TOPIC_TIDES, "A marsh drinks the tide slowly and gives it back more slowly."},
    {TOPIC_TIDES, "The gauge on the pier writes a curve on paper, and the curve has not missed a "
                  "tide in forty years."},
    {TOPIC_TIDES, "To predict a tide one needs the moon, the sun, the depth of the sea and a long "
                  "record of the past."},
    {TOPIC_TIDES,
     "The harmonic method adds many small waves together until the sum looks like the sea."},
    {TOPIC_TIDES,
     "A storm surge is not a tide, but it rides on one, and the two together break the wall."},
    {TOPIC_TIDES, "The keeper of the lock opens the gates when the water on both sides stands at "
                  "the same height."},
    {TOPIC_TIDES, "If the gates are opened too early, the river runs out, and if they are opened "
                  "too late, the ships are angry."},
    {TOPIC_TIDES, "The children build a wall of sand against the tide, and the tide takes the wall "
                  "without noticing it."},
    {TOPIC_TIDES, "On a calm night the tide comes in without a sound, and only the boats tell that "
                  "the water is there."},
    {TOPIC_TIDES, "The ferry follows the tide, and the village follows the ferry."},
    {TOPIC_TIDES, "Nobody in the village sets a clock by the church, they look at the mark on the "
                  "harbour wall."},
    {TOPIC_TIDES, "The mark on the harbour wall shows the highest water that anyone remembers."},
    {TOPIC_TIDES,
     "The water reached the mark in the winter of the great storm and has not reached it since."},
    {TOPIC_TIDES, "A chart gives the depth at low water, so that a sailor is surprised only in the "
                  "pleasant direction."},
    {TOPIC_TIDES, "The current is strongest in the middle of the tide, when the water has the "
                  "longest way to go."},
    {TOPIC_TIDES, "Off the point two currents meet, and the sea stands up in short steep waves."},
    {TOPIC_TIDES, "A swimmer should ask the fishermen about the current before he asks the sea."},
    {TOPIC_TIDES, "The rocks below the lighthouse are dry for one hour, and in that hour the "
                  "mussels are picked."},
    {TOPIC_TIDES,
     "The sand remembers each wave as a small ridge until the next tide writes over it."},
    {TOPIC_TIDES, "In the estuary the fresh water floats on the salt water, and the tide moves "
                  "them like two sheets of paper."},
    {TOPIC_TIDES, "The seals sleep on the bank until the water lifts them, one after the other."},
    {TOPIC_TIDES, "When the tide is out, the distance between the islands is a walk of two hours "
                  "over wet sand."},
    {TOPIC_TIDES, "When the tide is in, the same distance is a morning with oars."},
    {TOPIC_TIDES,
     "The sea takes a little of the cliff each winter and gives it to the beach in the next bay."},
    {TOPIC_TIDES, "Tide mills ground the corn at night and at noon, whenever the water wanted to "
                  "leave the pond."},
    {TOPIC_TIDES,
     "The miller slept when the water slept, and his dinner moved by an hour every day."},
    {TOPIC_TIDES,
     "A good anchor holds in the flood and in the ebb, because it turns without letting go."},
    {TOPIC_TIDES, "The length of the chain should be chosen for the high water, not for the hour "
                  "at which the boat arrives."},
    {TOPIC_TIDES,
     "The moon was full, the wind had turned, and the water stood at the edge of the road."},
    {TOPIC_TIDES, "By morning the water was gone, and the road was covered with shells."},
    {TOPIC_TIDES, "The tide keeps no promise, but it keeps its time."},
    {TOPIC_BRIDGES,
     "A bridge is a promise that the other side will be reached on every day of the year."},
    {TOPIC_BRIDGES,
     "The first bridge over the river was a row of boats with planks laid across them."},
    {TOPIC_BRIDGES, "Stone is strong when it is pressed and weak when it is pulled, so the old "
                    "bridges are arches."},
    {TOPIC_BRIDGES, "An arch stands because every stone wants to fall and no stone is allowed to."},
    {TOPIC_BRIDGES,
     "The keystone is not stronger than the other stones, it is only the last one to arrive."},
    {TOPIC_BRIDGES,
     "Steel is strong in both directions, and so the modern bridge can hang from a cable."},
    {TOPIC_BRIDGES, "The cable of a long bridge is made of thousands of thin wires, and each wire "
                    "carries a small part of the load."},
    {TOPIC_BRIDGES, "If one wire breaks, its neighbours take the load, and the traffic on the "
                    "bridge notices nothing."},
    {TOPIC_BRIDGES, "A good engineer asks what happens when a part fails, and then builds the "
                    "bridge so that little happens."},
    {TOPIC_BRIDGES,
     "The load on a bridge moves, and a moving load is heavier than the same load at rest."},
    {TOPIC_BRIDGES,
     "Soldiers break their step on a bridge because a bridge has a rhythm of its own."},
    {TOPIC_BRIDGES, "The wind found the rhythm of a famous bridge and shook it until the deck fell "
                    "into the water."},
    {TOPIC_BRIDGES, "Since that day a model of every long bridge is tested in the wind before the "
                    "first stone is laid."},
    {TOPIC_BRIDGES,
     "The piers stand in the river, and the river digs at their feet in every flood."},
    {TOPIC_BRIDGES, "Divers look at the piers each spring and measure how deep the river has dug."},
    {TOPIC_BRIDGES,
     "A bridge is inspected from a basket that hangs below the deck, close to every bolt."},
    {TOPIC_BRIDGES,
     "A crack is not yet a failure, but it is a message, and someone has to read it."},
    {TOPIC_BRIDGES,
     "The crack is marked with a date, and the next inspector sees how far it has grown."},
    {TOPIC_BRIDGES, "Rust is patient, it works at night and on Sundays, and paint is the only "
                    "thing that slows it."},
    {TOPIC_BRIDGES, "Painting the long bridge takes four years, and then the painters start again "
                    "at the other end."},
    {TOPIC_BRIDGES, "The toll keeper counts the carts, and from the count the town knows when a "
                    "second bridge is needed."},
    {TOPIC_BRIDGES,
     "A narrow bridge makes people polite, since only one cart can cross at a time."},
    {TOPIC_BRIDGES, "The drawbridge opens for the ships at high water, and the road waits."},
    {TOPIC_BRIDGES,
     "The weight of the counterweight is chosen so that a child could lift the deck."},
    {TOPIC_BRIDGES, "A swing bridge turns on one pier, and for a minute it leads to nowhere."},
    {TOPIC_BRIDGES, "The footbridge behind the mill is only two trees and a rail, and it has "
                    "outlived three mayors."},
    {TOPIC_BRIDGES, "In winter the deck of a bridge freezes before the road does, because the cold "
                    "air passes below it."},
    {TOPIC_BRIDGES, "Joints in the deck let the bridge grow in summer and shrink in winter."},
    {TOPIC_BRIDGES, "Without the joints the heat would bend the steel and lift the road."},
    {TOPIC_BRIDGES,
     "The bearings carry the weight of the deck and let it slide by the width of a finger."},
    {TOPIC_BRIDGES, "When a new bridge is opened, heavy lorries stand on it for a night while the "
                    "engineers measure how far it bends."},
    {TOPIC_BRIDGES,
     "If it bends as far as the plan says, it is opened to one lane, and then to the next."},
    {TOPIC_BRIDGES, "If it bends more than the plan says, the lorries are taken off at once and "
                    "the questions begin."},
    {TOPIC_BRIDGES,
     "The old bridge stays open until the new bridge has carried the traffic for a month."},
    {TOPIC_BRIDGES, "The town was glad of the old bridge when a joint of the new bridge broke in "
                    "the first frost."},
    {TOPIC_BRIDGES, "A truss is a set of triangles, and a triangle cannot change its shape without "
                    "breaking a side."},
    {TOPIC_BRIDGES, "The longest span is built from both ends at once, and the two halves meet "
                    "over the middle of the river."},
    {TOPIC_BRIDGES, "On the last day the halves missed each other by the width of a hand, and the "
                    "sun closed the gap by noon."},
    {TOPIC_BRIDGES,
     "The arch pushes outwards, and the banks of the river must be strong enough to push back."},
    {TOPIC_BRIDGES, "The builder of the stone bridge stood below it in his boat when the wooden "
                    "frame was taken away."},
    {TOPIC_BRIDGES, "A bridge with one lane closed carries less, but it carries, and that is worth "
                    "more than a closed bridge."},
    {TOPIC_BRIDGES, "Sensors on the cables now count every lorry and every gust of wind."},
    {TOPIC_BRIDGES,
     "The sensor does not replace the inspector, it tells the inspector where to look first."},
    {TOPIC_BRIDGES,
     "The plan of a bridge shows how it stands, and the record of its repairs shows how it lives."},
    {TOPIC_BRIDGES,
     "A bridge that is too strong costs money, and a bridge that is too weak costs everything."},
    {TOPIC_BRIDGES,
     "The river never asks how old a bridge is, it only asks how deep its piers go."},
    {TOPIC_BRIDGES, "At night the lamps on the bridge draw a line over the water, and people on "
                    "the bank walk towards it."},
    {TOPIC_BRIDGES,
     "Nobody thanks a bridge for standing, and that is the best thing that can be said of it."},
    {TOPIC_GARDENS, "A garden is a slow conversation with the weather."},
    {TOPIC_GARDENS,
     "In early spring the soil is cold, and a seed that is sown too soon will wait or rot."},
    {TOPIC_GARDENS, "The gardener takes a handful of soil and presses it, and if it falls apart "
                    "the bed is ready."},
    {TOPIC_GARDENS,
     "Peas may be sown while the nights are cold, but beans want the warm soil of May."},
    {TOPIC_GARDENS,
     "Water the roots and not the leaves, and water in the morning rather than at noon."},
    {TOPIC_GARDENS, "A plant that wilts at noon and stands in the evening is only tired, but one "
                    "that wilts in the morning is thirsty."},
    {TOPIC_GARDENS, "Compost is kitchen scraps and patience, turned over once a month."},
    {TOPIC_GARDENS, "The worms do most of the work in a garden and ask for nothing but leaves."},
    {TOPIC_GARDENS,
     "Slugs come out after rain, and the gardener goes out after the slugs with a lamp."},
    {TOPIC_GARDENS, "A hedge keeps the wind from the beds and gives the birds a place to sleep."},
    {TOPIC_GARDENS, "Plant the tall beans in the north of the bed, so that they do not steal the "
                    "sun from the lettuce."},
    {TOPIC_GARDENS,
     "The roses are pruned when the buds swell, and each cut is made just above an outward bud."},
    {TOPIC_GARDENS, "A timid cut makes a weak shoot, and a bold cut makes a strong one."},
    {TOPIC_GARDENS, "The apple tree bears well in one year and rests in the next."},
    {TOPIC_GARDENS,
     "Thin the young apples in June, and the ones that stay will be larger and sweeter."},
    {TOPIC_GARDENS, "New soil from an unknown place goes into one bed first, and the gardener "
                    "watches what grows there."},
    {TOPIC_GARDENS, "If the first bed does well, the next bed gets the new soil too, and if it "
                    "does not, only one bed is lost."},
    {TOPIC_GARDENS, "Herbs like poor soil and much sun, and they grow lazy when they are fed."},
    {TOPIC_GARDENS, "The mint must live in a pot, or it will live everywhere."},
    {TOPIC_GARDENS, "Weeds are pulled after rain, when the soil lets go of the roots."},
    {TOPIC_GARDENS, "A weed is a plant in the wrong place, and the right place is the compost."},
    {TOPIC_GARDENS, "The greenhouse is warm in March, and the tomatoes stand in it like passengers "
                    "waiting for a train."},
    {TOPIC_GARDENS, "Before they move outside, the young plants spend an hour in the wind each "
                    "day, and then two, and then the whole day."},
    {TOPIC_GARDENS, "A plant that is moved from the greenhouse to the bed in one step often dies "
                    "in the first cold night."},
    {TOPIC_GARDENS, "The frost comes back in the middle of May, and the careful gardener keeps the "
                    "covers near the door."},
    {TOPIC_GARDENS, "The pumpkin takes as much room as it is given and a little more."},
    {TOPIC_GARDENS, "The bees visit the blue flowers first and the red ones last."},
    {TOPIC_GARDENS,
     "A pond the size of a table brings frogs within a year, and the frogs eat the slugs."},
    {TOPIC_GARDENS,
     "In a dry summer the deep roots of the trees find water that the lawn has never heard of."},
    {TOPIC_GARDENS,
     "The lawn turns brown in August and green again in September, and worrying changes nothing."},
    {TOPIC_GARDENS, "Mulch keeps the soil moist and dark, and the weeds do not like the dark."},
    {TOPIC_GARDENS,
     "The gardener writes down what was sown and where, since memory mixes the years."},
    {TOPIC_GARDENS,
     "Do not grow cabbage where cabbage grew last year, for its enemies are still in the soil."},
    {TOPIC_GARDENS,
     "Four beds and four families of plants make a circle that takes four years to walk."},
    {TOPIC_GARDENS, "The garlic goes into the soil in October and comes out in July."},
    {TOPIC_GARDENS, "Leaves that fall in the wood are left to lie, and leaves that fall on the "
                    "lawn are carried to the hedge."},
    {TOPIC_GARDENS,
     "In November the tools are cleaned and oiled, and the hose is emptied before it freezes."},
    {TOPIC_GARDENS,
     "Snow is a blanket, and the plants below it are warmer than the ones in the wind."},
    {TOPIC_GARDENS, "In winter the garden is drawn on paper, and on paper every seed comes up."},
    {TOPIC_GARDENS, "A garden forgives a lost week but not a lost month."},
    {TOPIC_GARDENS,
     "The old pear tree leans against the wall, and nobody knows which of them holds the other."},
    {TOPIC_GARDENS,
     "The neighbour gives advice over the fence, and most of it is about his own soil."},
    {TOPIC_GARDENS,
     "A seed keeps for years when it is dry and cool, but the parsnip must be fresh."},
    {TOPIC_GARDENS, "Birds eat the cherries at the top of the tree, and that is their share."},
    {TOPIC_GARDENS, "The first strawberry of the year never reaches the kitchen."},
    {TOPIC_GARDENS,
     "When the lilac flowers, it is time to sow the carrots in rows as thin as a thread."},
    {TOPIC_GARDENS,
     "The carrots are thinned when they have two leaves, and again when they have four."},
    {TOPIC_GARDENS,
     "In the evening the gardener sits on the bench and sees only what is still to be done."},
    {TOPIC_RELEASES, "A release is a change that has met its users."},
    {TOPIC_RELEASES, "The new version starts with a small share of the traffic, and the old "
                     "version keeps the rest."},
    {TOPIC_RELEASES,
     "The small share is called a canary, after the bird that the miners carried into the mine."},
    {TOPIC_RELEASES, "If the canary fails, the traffic goes back to the stable version, and most "
                     "users never know."},
    {TOPIC_RELEASES, "If the canary does well, its share grows in steps, and at every step someone "
                     "or something looks at the errors."},
    {TOPIC_RELEASES,
     "A step that is too short sees too few requests to tell a good version from a bad one."},
    {TOPIC_RELEASES, "A step that is too long keeps the fix from the users who need it."},
    {TOPIC_RELEASES, "The error rate of the canary is compared with the error rate of the stable "
                     "version over the same minutes."},
    {TOPIC_RELEASES, "A comparison with yesterday is weaker, because yesterday had other users and "
                     "another weather."},
    {TOPIC_RELEASES,
     "The slowest request in a hundred tells more about a model than the average does."},
    {TOPIC_RELEASES,
     "An average hides the user who waited ten seconds behind nine users who waited for nothing."},
    {TOPIC_RELEASES, "Latency is measured from the moment the request is sent, not from the moment "
                     "the server was ready for it."},
    {TOPIC_RELEASES, "A stream that stops in the middle is a failure, even if its first line said "
                     "that all was well."},
    {TOPIC_RELEASES, "A status of two hundred is a greeting and not a result."},
    {TOPIC_RELEASES, "The client who closes the page is not an error of the server, but many of "
                     "them in one minute are a hint."},
    {TOPIC_RELEASES,
     "A rollback must be boring, and the only way to make it boring is to practise it."},
    {TOPIC_RELEASES,
     "The team practised the rollback on every Tuesday until nobody came to watch."},
    {TOPIC_RELEASES,
     "The first thing to know in the night is what serves now, and the second is what changed."},
    {TOPIC_RELEASES,
     "A good alert says which limit was broken, by how much, and on how many requests."},
    {TOPIC_RELEASES, "A bad alert says that something is high."},
    {TOPIC_RELEASES,
     "The release engineer writes the policy in the morning, when nothing is burning."},
    {TOPIC_RELEASES, "The policy says how far the canary may go, how long it must stay there, and "
                     "what sends it back."},
    {TOPIC_RELEASES, "A policy that nobody can read will be followed by nobody."},
    {TOPIC_RELEASES, "No data is not good data, and a silent canary is never promoted."},
    {TOPIC_RELEASES, "When the controller restarts, it continues at the step where it was, and "
                     "never at a higher one."},
    {TOPIC_RELEASES, "The weight goes down first and is written down second, and it is written "
                     "down first before it goes up."},
    {TOPIC_RELEASES, "A queue that grows is a promise that cannot be kept."},
    {TOPIC_RELEASES,
     "A retry helps one user and hurts the server, so there is a budget for retries."},
    {TOPIC_RELEASES, "The cache of a new server is cold, and its first requests are slow for a "
                     "reason that is not a fault."},
    {TOPIC_RELEASES, "Give the new server a minute to warm up before its latency is judged."},
    {TOPIC_RELEASES, "Every version has a name, and the name is written in each answer, so that a "
                     "log can tell who said what."},
    {TOPIC_RELEASES,
     "The load balancer does not know what a good answer is, it only knows that an answer came."},
    {TOPIC_RELEASES, "A model may answer quickly, correctly formed, and wrong."},
    {TOPIC_RELEASES,
     "When two changes are released together, the failure of one is blamed on the other."},
    {TOPIC_RELEASES,
     "Small changes fail in small ways, and large changes fail in interesting ways."},
    {TOPIC_RELEASES, "The freeze before the holiday moves the risk to the week after the holiday."},
    {TOPIC_RELEASES, "A deployment that needs a hero has a fault in its design."},
    {TOPIC_RELEASES, "The tests were green, the review was kind, and the first real request found "
                     "the fault in a second."},
    {TOPIC_RELEASES,
     "Users are the only complete test, so the question is how few of them one needs."},
    {TOPIC_RELEASES,
     "The graph went up at noon, and at noon the new version had taken half of the traffic."},
    {TOPIC_RELEASES,
     "Nobody had to decide anything, because the limit had been decided a week before."},
    {TOPIC_RELEASES,
     "The traffic returned to the old version within a second, and the graph came down."},
    {TOPIC_RELEASES,
     "In the morning the team read the report, found the line, and wrote a smaller change."},
    {TOPIC_RELEASES, "The second release passed each step and was promoted on the same evening."},
    {TOPIC_RELEASES, "An honest dashboard shows how uncertain it is."},
    {TOPIC_RELEASES, "Count what the users saw, not what the servers meant to say."},
    {TOPIC_RELEASES,
     "The log is written for a tired person, in the order in which that person asks."},
    {TOPIC_RELEASES,
     "A version that was good for a week at full traffic has earned the name stable."},
};

const size_t corpus_count = sizeof(corpus) / sizeof(corpus[0]);
