"""The word lists behind `tunekit.quickstart.recipes`: what recipes are made of.

Everything here was written for this package; the brands, cooks and towns are invented.
"""

from __future__ import annotations

from dataclasses import dataclass


def _split(text: str) -> tuple[str, ...]:
    """The comma-separated entries of `text`, in order, without surrounding space."""
    return tuple(entry for part in text.split(",") if (entry := " ".join(part.split())))


@dataclass(frozen=True, slots=True)
class Group:
    """Ingredients that are bought, measured and prepared alike.

    Attributes:
        names: Generic ingredients; `one|many` where a recipe counts them.
        measures: Which of the measures in `recipes` fit.
        before: Words that may stand before the name and do not belong to it.
        after: Preparations that may follow the name after a comma.
    """

    names: tuple[str, ...]
    measures: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


def _group(names: str, measures: str, before: str, after: str) -> Group:
    return Group(_split(names), _split(measures), _split(before), _split(after))


GROUPS: dict[str, Group] = {
    "beef": _group(
        "beef brisket, ground beef, stew beef, chuck roast, round steak, sirloin steak, "
        "flank steak, rump roast, corned beef, beef short ribs, beef liver, veal cutlets",
        "weight, package",
        "lean, extra lean, boneless, well trimmed, thinly sliced, tender, good quality",
        "trimmed, cut in strips, cubed, browned and drained, cut in 1-inch cubes, pounded thin, "
        "trimmed of fat, crumbled, partially frozen, cut against the grain",
    ),
    "pork": _group(
        "pork chop|pork chops, pork loin, pork tenderloin, ground pork, spareribs, ham steak, "
        "cooked ham, bacon, pork sausage, Italian sausage, smoked sausage, salt pork, "
        "lamb shoulder, lamb chop|lamb chops",
        "weight, package, slice",
        "lean, thick cut, boneless, thinly sliced, country style, center cut, diced, crumbled",
        "trimmed, cut in strips, cubed, fried crisp, cooked and crumbled, cut in bite-size pieces, "
        "casings removed, sliced, browned, diced small",
    ),
    "poultry": _group(
        "chicken breast|chicken breasts, chicken thigh|chicken thighs, "
        "chicken wing|chicken wings, chicken leg|chicken legs, turkey breast|turkey breasts, "
        "duck breast|duck breasts",
        "count, weight, package",
        "boneless, skinless, boneless skinless, large, meaty, split, cooked, frozen",
        "cut up, skinned, cubed, pounded flat, cooked and diced, halved, rinsed and patted dry, "
        "thawed, cut in thin strips, disjointed",
    ),
    "bird": _group(
        "chicken, turkey, ground turkey, ground chicken, chicken livers",
        "weight, cup, package",
        "cooked, leftover, diced, cubed, shredded, lean, chopped",
        "diced, cut up, cooked and boned, shredded, skin removed, chilled, torn in pieces",
    ),
    "fish": _group(
        "cod, haddock, halibut, salmon, tuna, catfish, trout, red snapper, shrimp, scallops, "
        "crabmeat, lobster meat, clams, oysters, flounder, whitefish, smoked salmon, crawfish",
        "weight, can, package, cup",
        "fresh, frozen, cooked, flaked, skinless, medium, cleaned",
        "drained, flaked, peeled and deveined, picked over, thawed, cut in chunks, shelled, "
        "patted dry, cooked and chilled, drained and rinsed",
    ),
    "milk": _group(
        "milk, buttermilk, heavy cream, whipping cream, light cream, half-and-half, skim milk, "
        "evaporated milk, condensed milk, coconut milk, goat milk, eggnog",
        "cup, spoon, can, carton",
        "cold, warm, scalded, whole, fresh, chilled, lukewarm, hot",
        "scalded, chilled, warmed, whipped, at room temperature, divided, heated",
    ),
    "cultured": _group(
        "sour cream, yogurt, cottage cheese, ricotta cheese, cream cheese, whipped topping, "
        "mascarpone, sherbet, vanilla ice cream",
        "cup, weight, carton, package",
        "plain, low-fat, fat-free, light, small curd, thick, softened",
        "softened, at room temperature, drained, thawed, beaten smooth, divided, cubed",
    ),
    "cheese": _group(
        "Cheddar cheese, Parmesan cheese, mozzarella cheese, Swiss cheese, American cheese, "
        "blue cheese, feta cheese, Monterey Jack cheese, goat cheese, Romano cheese, "
        "provolone cheese, Colby cheese, Gouda cheese, pepper jack cheese",
        "cup, weight, package, slice",
        "grated, shredded, sharp, mild, freshly grated, crumbled, finely shredded, aged, "
        "part-skim, cubed, extra sharp",
        "grated, shredded, cubed, crumbled, cut in strips, divided, sliced thin, melted",
    ),
    "fat": _group(
        "butter, margarine, shortening, lard, unsalted butter, bacon drippings",
        "spoon, cup, stick, weight",
        "melted, soft, softened, cold, chilled, browned, sweet",
        "melted, softened, at room temperature, cut in bits, divided, chilled, cut up, browned, "
        "melted and cooled",
    ),
    "oil": _group(
        "vegetable oil, olive oil, corn oil, peanut oil, sesame oil, canola oil, salad oil, "
        "sunflower oil, walnut oil",
        "spoon, cup, purpose",
        "extra virgin, hot, light, cold pressed, toasted, fruity",
        "divided, heated, or as needed, plus more for the pan",
    ),
    "egg": _group(
        "egg|eggs, egg white|egg whites, egg yolk|egg yolks",
        "count",
        "large, small, medium, fresh, jumbo, well beaten, slightly beaten, whole",
        "beaten, separated, lightly beaten, at room temperature, well beaten, stiffly beaten, "
        "beaten until foamy, whisked",
    ),
    "boiled_egg": _group(
        "hard-boiled egg|hard-boiled eggs, quail egg|quail eggs",
        "count",
        "large, small, peeled, chopped, sliced, cold",
        "chopped, sliced, peeled and quartered, grated, mashed, halved",
    ),
    "baking": _group(
        "flour, all-purpose flour, cake flour, self-rising flour, whole wheat flour, rye flour, "
        "bread flour, cornmeal, cornstarch, cocoa, powdered milk, biscuit mix, oat bran, "
        "wheat germ, semolina, almond flour, tapioca",
        "cup, spoon, weight",
        "sifted, unbleached, unsweetened, fine, stone ground, level, packed, heaping",
        "sifted, sifted twice, divided, plus extra for dusting, spooned lightly, measured after "
        "sifting, or more as needed",
    ),
    "sugar": _group(
        "sugar, brown sugar, powdered sugar, granulated sugar, white sugar, dark brown sugar, "
        "confectioners sugar, raw sugar, sugar substitute, maple sugar",
        "cup, spoon, weight",
        "firmly packed, packed, sifted, scant, heaping, fine, superfine",
        "packed, divided, sifted, or to taste, plus more for sprinkling",
    ),
    "leaven": _group(
        "baking powder, baking soda, cream of tartar, dry yeast, salt, gelatin, pectin, "
        "kosher salt, sea salt, meat tenderizer, seasoned salt, onion salt, garlic salt",
        "spoon, envelope, taste, pinch",
        "level, rounded, heaping, scant, active, instant, unflavored, fine",
        "sifted with the flour, dissolved in warm water, or to taste, divided",
    ),
    "spice": _group(
        "cinnamon, nutmeg, ginger, cloves, allspice, paprika, cumin, turmeric, chili powder, "
        "curry powder, black pepper, white pepper, cayenne pepper, garlic powder, onion powder, "
        "dry mustard, coriander, cardamom, mace, poppy seeds, celery seed, caraway seeds, "
        "sesame seeds, mustard seed, fennel seed, red pepper flakes, pumpkin pie spice, "
        "apple pie spice, poultry seasoning, Italian seasoning, taco seasoning, pickling spice, "
        "lemon pepper, saffron, star anise, dill seed",
        "spoon, taste, pinch",
        "ground, freshly ground, crushed, whole, hot, sweet, mild, toasted, freshly grated",
        "crushed, toasted, or to taste, divided, bruised, tied in cheesecloth, ground fine",
    ),
    "herb": _group(
        "parsley, basil, oregano, thyme, rosemary, sage, dill, mint, cilantro, chives, tarragon, "
        "marjoram, chervil, basil leaves, mint leaves, parsley flakes, dill weed, bay leaf|"
        "bay leaves, savory, lemon balm",
        "spoon, cup, bunch, pinch",
        "fresh, dried, chopped, minced, crushed, crumbled, snipped, chopped fresh, rubbed, "
        "finely chopped",
        "chopped, minced, crushed, crumbled, snipped, finely chopped, torn, stems removed, "
        "chopped fine, rinsed",
    ),
    "garlic": _group(
        "garlic",
        "clove, spoon, head",
        "minced, crushed, fresh, chopped, roasted, large",
        "minced, crushed, pressed, finely chopped, peeled, mashed, slivered, split",
    ),
    "stalk": _group(
        "celery, rhubarb, bok choy, fennel, leek|leeks, lemon grass",
        "rib, cup, bunch",
        "chopped, diced, sliced, tender, thinly sliced, finely chopped",
        "chopped, diced, sliced, cut in 1-inch pieces, thinly sliced, strings removed, trimmed",
    ),
    "vegetable": _group(
        "onion|onions, red onion|red onions, green onion|green onions, carrot|carrots, "
        "potato|potatoes, sweet potato|sweet potatoes, tomato|tomatoes, cucumber|cucumbers, "
        "green pepper|green peppers, red bell pepper|red bell peppers, zucchini|zucchini, "
        "eggplant|eggplants, turnip|turnips, beet|beets, parsnip|parsnips, shallot|shallots, "
        "radish|radishes, artichoke|artichokes, jalapeno|jalapenos, green chili|green chilies, "
        "yellow squash|yellow squash, acorn squash|acorn squash, avocado|avocados, "
        "scallion|scallions, cherry tomato|cherry tomatoes, ear corn|ears corn, yam|yams",
        "count, weight, cup",
        "large, small, medium, chopped, diced, sliced, finely chopped, ripe, peeled, thinly "
        "sliced, medium size, firm, grated, young",
        "chopped, diced, peeled and sliced, finely chopped, thinly sliced, cut in wedges, seeded, "
        "grated, peeled, quartered, minced, cut in rings, seeded and chopped, peeled and cubed",
    ),
    "greens": _group(
        "cabbage, lettuce, cauliflower, broccoli, romaine, iceberg lettuce, red cabbage, "
        "escarole, Chinese cabbage, endive",
        "head, cup",
        "shredded, small, crisp, torn, chopped, large, firm, medium",
        "shredded, torn, cut in flowerets, chopped, cored, rinsed and torn, coarsely chopped, "
        "washed and dried, broken in pieces",
    ),
    "bulk": _group(
        "mushrooms, spinach, green beans, peas, corn, lima beans, okra, asparagus, snow peas, "
        "bean sprouts, kale, collard greens, Brussels sprouts, water chestnuts, hash browns, "
        "mixed vegetables, watercress, pearl onions, wax beans, black olives, green olives, "
        "bamboo shoots, hominy, sauerkraut, pimento",
        "cup, weight, can, package",
        "fresh, frozen, sliced, cooked, chopped, whole, tender, drained, small, washed",
        "drained, thawed, sliced, cooked and drained, chopped, washed and trimmed, rinsed, "
        "thawed and squeezed dry, quartered, cut up, reserve the liquid",
    ),
    "canned": _group(
        "tomato sauce, tomato paste, stewed tomatoes, kidney beans, black beans, pinto beans, "
        "chickpeas, navy beans, baked beans, refried beans, creamed corn, cream of mushroom soup, "
        "cream of chicken soup, cream of celery soup, tomato soup, onion soup, beef consomme, "
        "pumpkin, pineapple tidbits, pineapple chunks, fruit cocktail, cherry pie filling, "
        "apple pie filling, cranberry sauce, mandarin oranges, pie cherries, sardines, anchovies, "
        "enchilada sauce, pizza sauce, chipotle peppers, tomato juice",
        "can, cup",
        "undiluted, drained, condensed, chilled, thick, low-sodium, mashed, no-salt",
        "drained, undiluted, rinsed and drained, mashed, with liquid, chilled, juice reserved, "
        "well drained, heated, puréed",
    ),
    "fruit": _group(
        "apple|apples, banana|bananas, lemon|lemons, lime|limes, orange|oranges, peach|peaches, "
        "pear|pears, plum|plums, grapefruit|grapefruits, mango|mangoes, kiwi|kiwis, "
        "apricot|apricots, nectarine|nectarines, tart apple|tart apples, fig|figs, papaya|papayas, "
        "quince|quinces, pomegranate|pomegranates",
        "count, weight, cup",
        "ripe, large, small, medium, peeled, sliced, mashed, juicy, firm, diced, chopped",
        "peeled and sliced, mashed, cored, cut in wedges, thinly sliced, peeled, seeded, diced, "
        "cored and chopped, pitted, cut in half, peeled and grated",
    ),
    "citrus": _group(
        "lemon juice, lime juice, orange juice, lemon rind, orange rind, lemon zest, orange zest, "
        "lime zest, apple juice, pineapple juice, cranberry juice, grape juice, apple cider",
        "spoon, cup",
        "fresh, freshly squeezed, grated, strained, frozen, bottled, finely grated, chilled",
        "strained, chilled, divided, or more to taste, freshly squeezed",
    ),
    "berry": _group(
        "strawberries, blueberries, raspberries, blackberries, cranberries, cherries, grapes, "
        "seedless grapes, gooseberries, watermelon, cantaloupe, honeydew melon, pineapple, "
        "boysenberries, currants",
        "cup, weight, carton, package",
        "fresh, frozen, ripe, sliced, crushed, washed, sweetened, whole, halved, cubed",
        "hulled, sliced, crushed, drained, halved, thawed, washed and hulled, rinsed, pitted, "
        "mashed slightly, cut in balls",
    ),
    "dried_fruit": _group(
        "raisins, dates, prunes, dried apricots, golden raisins, dried cranberries, candied fruit, "
        "coconut, candied cherries, maraschino cherries, dried apples, candied ginger",
        "cup, weight, package",
        "chopped, pitted, flaked, shredded, toasted, plump, finely chopped, seedless",
        "chopped, pitted, snipped, plumped in hot water, toasted, halved, drained, cut up",
    ),
    "nut": _group(
        "pecans, walnuts, almonds, peanuts, cashews, hazelnuts, pine nuts, macadamia nuts, "
        "pistachios, sunflower seeds, pumpkin seeds, black walnuts, chestnuts, Brazil nuts",
        "cup, weight, package",
        "chopped, toasted, slivered, salted, finely chopped, unsalted, ground, roasted, coarsely "
        "chopped, blanched",
        "chopped, toasted, finely chopped, broken, ground, coarsely chopped, divided, halved",
    ),
    "liquid": _group(
        "water, chicken broth, beef broth, vegetable broth, chicken stock, white wine, red wine, "
        "beer, sherry, brandy, rum, bourbon, coffee, tea, ginger ale, club soda, lemon-lime soda, "
        "fish stock, strong coffee, apple brandy, cream sherry",
        "cup, spoon, can",
        "cold, hot, boiling, warm, dry, lukewarm, ice cold, hot brewed, dark",
        "boiling, chilled, divided, heated, cooled, or as needed, warmed",
    ),
    "vinegar": _group(
        "vinegar, cider vinegar, white vinegar, wine vinegar, red wine vinegar, rice vinegar, "
        "balsamic vinegar, malt vinegar, tarragon vinegar",
        "spoon, cup",
        "mild, good, warm, cold, strong, distilled",
        "divided, or to taste, heated, or more if desired",
    ),
    "condiment": _group(
        "catsup, mustard, mayonnaise, soy sauce, Worcestershire sauce, hot sauce, horseradish, "
        "barbecue sauce, salad dressing, Italian dressing, Dijon mustard, steak sauce, "
        "oyster sauce, fish sauce, chili sauce, salsa, sweet pickle relish, dill pickles, capers, "
        "ranch dressing, tartar sauce, liquid smoke, peanut butter, teriyaki sauce, "
        "spaghetti sauce, Russian dressing, pesto, tahini, hoisin sauce, honey mustard",
        "spoon, cup, jar, taste",
        "prepared, bottled, light, low-sodium, mild, hot, creamy, smooth, spicy, thick",
        "drained, divided, or to taste, well shaken, heated, or more if desired",
    ),
    "sweet": _group(
        "honey, molasses, maple syrup, corn syrup, chocolate syrup, strawberry jam, grape jelly, "
        "orange marmalade, raspberry preserves, caramel topping, apricot preserves, apple butter, "
        "chocolate fudge topping, dark corn syrup, currant jelly, apple jelly",
        "cup, spoon, jar",
        "warm, warmed, light, melted, mild, thick, pure, seedless",
        "warmed, melted, divided, heated until thin, stirred, beaten smooth",
    ),
    "candy": _group(
        "chocolate chips, butterscotch chips, marshmallows, miniature marshmallows, caramels, "
        "marshmallow creme, white chocolate, peppermint candy, gumdrops, chocolate sprinkles, "
        "mint chocolate chips, peanut butter chips, toffee bits, milk chocolate, chocolate wafers, "
        "gingersnaps, vanilla wafers, graham crackers, chocolate cookies",
        "cup, package, weight",
        "semi-sweet, crushed, chopped, melted, unwrapped, large, coarsely crushed, fine",
        "melted, crushed, chopped, unwrapped, melted and cooled, divided, rolled fine",
    ),
    "chocolate": _group(
        "baking chocolate, bitter chocolate, German chocolate, almond bark",
        "square, weight",
        "unsweetened, grated, chopped, melted",
        "melted, grated, melted and cooled, chopped, shaved",
    ),
    "pasta": _group(
        "rice, brown rice, wild rice, macaroni, elbow macaroni, spaghetti, egg noodles, "
        "lasagna noodles, vermicelli, fettuccine, linguine, rotini, pasta shells, barley, lentils, "
        "split peas, couscous, grits, bulgur, quinoa, rigatoni, ziti, orzo, chow mein noodles, "
        "ramen noodles, angel hair pasta",
        "cup, weight, package",
        "uncooked, cooked, long grain, instant, quick-cooking, broken, thin, hot cooked, raw",
        "uncooked, cooked and drained, rinsed, cooked, broken up, soaked overnight, cooked al "
        "dente, washed and sorted, broken in small pieces",
    ),
    "cereal": _group(
        "rolled oats, corn flakes, oatmeal, bran flakes, crisp rice cereal, bread crumbs, "
        "cracker crumbs, graham cracker crumbs, stuffing mix, croutons, potato chips, pretzels, "
        "tortilla chips, corn chips, granola, puffed wheat, saltine crackers, cornbread mix, "
        "pancake mix, popcorn",
        "cup, package, weight",
        "crushed, fine, dry, toasted, quick-cooking, soft, buttered, coarsely crushed, seasoned",
        "crushed, toasted, finely crushed, divided, crumbled, rolled fine, plus extra for topping",
    ),
    "mix": _group(
        "yellow cake mix, white cake mix, chocolate cake mix, brownie mix, instant vanilla "
        "pudding, instant chocolate pudding, lemon gelatin, lime gelatin, strawberry gelatin, "
        "orange gelatin, onion soup mix, butterscotch pudding, instant lemon pudding, "
        "cherry gelatin, spice cake mix, angel food cake mix, muffin mix, raspberry gelatin",
        "package, envelope",
        "dry, sugar-free, family size, small, regular, large",
        "dry, prepared and cooled, dissolved in hot water, unprepared, sifted, partially set",
    ),
    "extract": _group(
        "vanilla, vanilla extract, almond extract, lemon extract, maple flavoring, rum flavoring, "
        "peppermint extract, coconut extract, orange extract, butter flavoring",
        "spoon, drop",
        "pure, imitation, clear, good",
        "or to taste, divided, if desired",
    ),
    "coloring": _group(
        "red food coloring, green food coloring, yellow food coloring, hot pepper sauce, bitters, "
        "rose water, orange flower water",
        "drop, taste",
        "liquid, bright",
        "if desired, or as needed, or to taste",
    ),
    "bread": _group(
        "bread, white bread, French bread, rye bread, whole wheat bread, pound cake, cornbread, "
        "sourdough bread, angel food cake, pumpernickel bread, raisin bread",
        "slice, loaf, cup",
        "day-old, stale, toasted, thick, buttered, soft, unsliced, cubed",
        "cubed, torn, toasted, crusts removed, sliced, cut in cubes, split lengthwise, crumbled",
    ),
    "shell": _group(
        "tortilla|tortillas, flour tortilla|flour tortillas, corn tortilla|corn tortillas, "
        "pie shell|pie shells, pie crust|pie crusts, hamburger bun|hamburger buns, "
        "English muffin|English muffins, hot dog bun|hot dog buns, pita bread round|pita bread "
        "rounds, crescent roll|crescent rolls, taco shell|taco shells, hot dog|hot dogs, "
        "ladyfinger|ladyfingers, pizza crust|pizza crusts, bagel|bagels",
        "count, package",
        "baked, unbaked, large, small, refrigerated, 9-inch, 8-inch, soft, warm, frozen",
        "baked, warmed, split, toasted, thawed, cut in strips, baked and cooled, separated, halved",
    ),
}

#: Groups whose names follow another ingredient as "butter or margarine".
ALTERNATIVES: tuple[tuple[str, str, str], ...] = (
    ("butter", "margarine", "fat"),
    ("margarine", "butter", "fat"),
    ("shortening", "lard", "fat"),
    ("vegetable oil", "corn oil", "oil"),
    ("olive oil", "salad oil", "oil"),
    ("pecans", "walnuts", "nut"),
    ("walnuts", "almonds", "nut"),
    ("almonds", "hazelnuts", "nut"),
    ("milk", "light cream", "milk"),
    ("heavy cream", "half-and-half", "milk"),
    ("sour cream", "yogurt", "cultured"),
    ("honey", "molasses", "sweet"),
    ("corn syrup", "maple syrup", "sweet"),
    ("raisins", "dates", "dried_fruit"),
    ("chicken broth", "water", "liquid"),
    ("beef broth", "red wine", "liquid"),
    ("sherry", "white wine", "liquid"),
    ("cider vinegar", "lemon juice", "vinegar"),
    ("mayonnaise", "salad dressing", "condiment"),
    ("parsley", "chives", "herb"),
    ("basil", "oregano", "herb"),
    ("Cheddar cheese", "Colby cheese", "cheese"),
    ("mozzarella cheese", "provolone cheese", "cheese"),
    ("strawberries", "raspberries", "berry"),
    ("blueberries", "blackberries", "berry"),
    ("spaghetti", "linguine", "pasta"),
    ("rice", "barley", "pasta"),
    ("spinach", "kale", "bulk"),
    ("sugar", "honey", "sugar"),
    ("brown sugar", "maple syrup", "sugar"),
)

#: Pairs that a cook measures together: "1/2 tsp. each cinnamon and nutmeg".
PAIRS: tuple[tuple[str, str], ...] = (
    ("salt", "pepper"),
    ("cinnamon", "nutmeg"),
    ("cinnamon", "cloves"),
    ("allspice", "ginger"),
    ("basil", "oregano"),
    ("thyme", "rosemary"),
    ("sage", "thyme"),
    ("parsley", "chives"),
    ("garlic powder", "onion powder"),
    ("cumin", "coriander"),
    ("salt", "sugar"),
    ("paprika", "cayenne pepper"),
    ("chili powder", "cumin"),
    ("salt", "paprika"),
    ("baking powder", "salt"),
    ("ginger", "nutmeg"),
    ("dry mustard", "paprika"),
    ("rosemary", "marjoram"),
    ("dill", "mint"),
    ("salt", "white pepper"),
)

#: What a recipe takes the juice or the rind of.
SQUEEZED: tuple[str, ...] = _split(
    "lemon|lemons, lime|limes, orange|oranges, grapefruit|grapefruits"
)

BRANDS: tuple[str, ...] = _split(
    "Dunmere, Bellhaven, Old Tillers, Marlowick, Aunt Sella's, Fennimore, Brightwell Farm, "
    "Sunny Hollow, Grandy's, Kestrel Bay, Copper Kettle Lane, Tamberlin, Northfold, Pellworth, "
    "Maple Gate, Harrowby, Lindenbrook, Captain Orrin's, Silver Ladle, Wexcombe, Rosamund, "
    "Blue Heron Mills, Corrigan Hill, Penny Acre, Thistledown, Quillby, Mother Abelard's, "
    "Ferncastle, Westerlow, Jolly Cooper, Hearthmoor, Oakhaven"
)

SIZES: tuple[str, ...] = ("small", "large", "medium", "family size", "king size")

TITLE_COOKS: tuple[str, ...] = _split(
    "Aunt Clara, Grandma Rose, Uncle Walter, Mother, Helen, Marie, Cousin Betty, Ruth, Edna, "
    "Dorothy, Grandpa Joe, Peggy, Louise, Martha, Irene, Sister Agnes, Frances, Norma, Alma, "
    "Hazel, Nana, Rita, Vera, Granny, Mabel, Ernest, Oscar, June, Sylvia, Theresa, Lorraine, Ike"
)
TITLE_STYLES: tuple[str, ...] = _split(
    "Easy, Quick, Favorite, Old-Fashioned, Baked, Creamy, Spicy, Barbecued, Company, Sunday, "
    "Holiday, Crunchy, Golden, Hearty, Skillet, Crock Pot, Party, Sweet And Sour, Frozen, "
    "No-Bake, Chilled, Homemade, Country, Harvest, Summer, Winter, Best Ever, Light, Zesty, "
    "Garden, Overnight, Potluck, Five Minute, Double, Stuffed, Glazed, Grilled, Church Supper"
)
TITLE_PLACES: tuple[str, ...] = _split(
    "Hungarian, Mexican, Italian, Swedish, Hawaiian, Texas, Boston, Greek, Polish, Carolina, "
    "Amish, Irish, French, Southern, Midwest, Dutch, Spanish, Basque, Bavarian, Cajun, Vermont"
)

#: Kind of dish: (dish names, groups that go into it).
DISHES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "main": (
        _split(
            "Casserole, Stew, Pot Pie, Loaf, Bake, Stir-Fry, Chili, Roast, Goulash, Skillet, "
            "Hash, Supper, Kabobs, Stroganoff, Pie, Dinner, Jambalaya, Enchiladas, Lasagna, Curry"
        ),
        _split(
            "beef, pork, poultry, bird, fish, cheese, cultured, fat, oil, garlic, stalk, "
            "vegetable, vegetable, bulk, canned, canned, spice, spice, herb, leaven, liquid, "
            "condiment, condiment, pasta, cereal, mix, vinegar, shell, milk"
        ),
    ),
    "soup": (
        _split("Soup, Chowder, Bisque, Gumbo, Broth, Gazpacho, Noodle Soup, Bean Pot, Dumplings"),
        _split(
            "beef, pork, poultry, bird, fish, fat, oil, garlic, stalk, stalk, vegetable, "
            "vegetable, greens, bulk, canned, spice, herb, herb, leaven, liquid, liquid, pasta, "
            "milk, cheese, bread"
        ),
    ),
    "salad": (
        _split("Salad, Slaw, Dressing, Relish, Dip, Spread, Marinade, Pickles, Appetizer, Platter"),
        _split(
            "greens, greens, vegetable, vegetable, bulk, canned, fruit, citrus, citrus, berry, "
            "nut, oil, vinegar, vinegar, condiment, condiment, herb, spice, leaven, cheese, "
            "cultured, boiled_egg, bird, fish, pasta, sugar, garlic, dried_fruit"
        ),
    ),
    "baking": (
        _split(
            "Cake, Cookies, Bread, Muffins, Pie, Bars, Brownies, Biscuits, Cobbler, Crisp, Rolls, "
            "Coffee Cake, Torte, Squares, Pancakes, Waffles, Scones, Loaf, Shortcake, Tarts"
        ),
        _split(
            "baking, baking, baking, sugar, sugar, leaven, leaven, fat, fat, egg, egg, milk, "
            "extract, spice, spice, fruit, citrus, berry, dried_fruit, nut, candy, chocolate, "
            "cereal, sweet, cultured, mix, canned, shell, coloring"
        ),
    ),
    "dessert": (
        _split(
            "Pudding, Fudge, Mousse, Delight, Candy, Parfait, Truffles, Ice Cream, Trifle, Jello, "
            "Punch, Cooler, Fluff, Custard, Sauce, Balls, Clusters, Shake, Compote, Dessert"
        ),
        _split(
            "sugar, sugar, milk, milk, cultured, cultured, fat, egg, candy, candy, chocolate, "
            "extract, extract, nut, fruit, citrus, berry, berry, dried_fruit, sweet, mix, mix, "
            "canned, liquid, bread, cereal, coloring, spice"
        ),
    ),
    "breakfast": (
        _split("Omelet, Quiche, Brunch, Scramble, French Toast, Strata, Souffle, Breakfast, Pizza"),
        _split(
            "egg, egg, milk, cheese, cheese, pork, vegetable, bulk, herb, spice, leaven, fat, "
            "bread, bread, shell, shell, cultured, condiment, sweet, fruit, cereal, baking"
        ),
    ),
}
