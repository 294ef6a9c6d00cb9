"""Wordings of real models, by the kinds of faults that readers of answers have: own words, two or three each."""

import pytest

from benchmarks.scoring.extraction import Kind, extract

Wording = tuple[str, Kind, dict[str, str] | None, str, str | None]

TREES = {"A": "pine", "B": "oak", "C": "birch", "D": "willow"}
ANGLES = {"A": "30°", "B": "45°", "C": "60°", "D": "75°"}
FRACTIONS = {"A": "$\\frac{1}{3}$", "B": "$\\frac{1}{2}$", "C": "$\\frac{2}{3}$", "D": "$\\frac{3}{4}$"}
ROMAN = {"A": "IV", "B": "II", "C": "V", "D": "I", "E": "III"}
LETTERS = {"A": "A", "B": "B", "C": "C", "D": "D", "E": "E"}
YES = {"A": "Yes", "B": "No"}
MASSES = {"A": "2 kg", "B": "3 kg", "C": "4 kg", "D": "5 kg"}
VOLUMES = {"A": "V", "B": "V/2", "C": "\\frac{2}{3}V", "D": "2V"}
COUNTS = {"A": "3", "B": "4", "C": "5", "D": "None of the above"}
HAN = {"A": "猫", "B": "狗", "C": "鸟", "D": "鱼"}
TEN = dict(
    zip("ABCDEFGHIJ", ["-26%", "-12%", "0%", "4%", "9%", "15%", "21%", "28%", "33%", "40%"], strict=True)
)

WORDINGS: list[Wording] = [
    # 0: a decimal that begins with its point
    ("leading point", "number", None, "Hence the probability equals \\boxed{.375}.", "0.375"),
    ("leading point", "number", None, "The answer is .05 grams.", "0.05"),
    ("leading point", "math", None, "So we find \\boxed{.125}", ".125"),
    # 2: article, pronoun or a common word as an option
    ("article or pronoun", "option", LETTERS, "I would need a clearer picture to tell you more about this.", None),
    ("article or pronoun", "option", ROMAN, "I am afraid that I cannot make out the numerals in this drawing.", None),
    ("article or pronoun", "option", YES, "Sorry, there is no diagram that I could look at.", None),
    ("article or pronoun", "option", LETTERS, "It is a drawing of a cube, but its faces are too small for me.", None),
    # 3: names of points, angles, units, variables
    ("names of points", "option", TREES, "The altitude from B meets AC in the point D.", None),
    ("names of points", "option", ANGLES, "Since triangle ABC is isosceles, the angle at C is 45°.", "B"),
    ("names of points", "option", TREES, "Its temperature rises from 12°C to 30°C during the day.", None),
    ("names of points", "option", TREES, "The current in the second wire is $I = \\frac{D}{2}$ then.", None),
    # 4: answer to the question
    ("answer to the question", "option", TREES,
     "The answer to this question is (C) birch. Its bark is white, which a willow's or an oak's never is.", "C"),
    ("answer to the question", "option", YES,
     "The answer to the question above is A, yes. The left bar ends higher than the right one, as a ruler shows.",
     "A"),
    ("answer to the question", "number", None,
     "The answer to the problem is 14. There were 20 birds at first and 6 flew away before 9 o'clock.", "14"),
    # 5: conclusion first
    ("conclusion first", "option", TREES,
     "The correct choice is D. Pine keeps its needles, and oak and birch have other leaves than these.", "D"),
    ("conclusion first", "option", TREES,
     "The tree is most likely (B) oak. Birch would have a white trunk. Pine has needles all year round.", "B"),
    ("conclusion first", "option", TREES,
     "Willow, because the branches hang down to the water. An oak would stand upright.", "D"),
    ("conclusion first", "option", YES, "No, the second jar is not fuller than the first one in this photo.", "B"),
    # 6: closing remark
    ("closing remark", "option", ANGLES,
     "The three angles add up to 180°, so the last one is **(D) 75°**. I hope this makes it clear!", "D"),
    ("closing remark", "option", TREES,
     "We compare the leaves. The one shown is B. Let me know if you want to see how to tell A from C.", "B"),
    ("closing remark", "number", None,
     "In all that makes 36 stamps. Feel free to ask if you have 2 or 3 more questions.", "36"),
    # 7: options repeated
    ("options repeated", "option", ANGLES, "(A) 30° (B) 45° (C) 60° (D) 75°", None),
    ("options repeated", "option", TREES, "A. pine\nB. oak\nC. birch\nD. willow", None),
    ("options repeated", "option", TREES, "The choices are: A. pine, B. oak, C. birch, D. willow", None),
    ("options repeated", "option", TREES, "A. pine\nB. oak\nC. birch\nD. willow\n\nThe answer is C.", "C"),
    # 8: several letters where one is asked for
    ("several letters", "option", TREES, "\\boxed{A, C}", None),
    ("several letters", "option", TREES, "Answer: B and D", None),
    ("several letters", "option", TREES, "All of them fit, that is A, B, C, and D.", None),
    ("several letters", "option", TREES, "It could be option B or option C.", None),
    # 9: a sentence cut after the option's letter
    ("cut after the letter", "option", TREES, "I conclude that the right option is: **C. birch**", "C"),
    ("cut after the letter", "option", MASSES, "Thus the correct answer is:\n\n**B. 3 kg**", "B"),
    ("cut after the letter", "option", {"A": "1.2 A", "B": "14.8 A", "C": "3 A"},
     "By Ohm's law, the correct option is B. 14.8 A.", "B"),
    # 10: the stated answer is no option
    ("no option", "option", MASSES, "From the balance we get $C = \\boxed{7 \\text{ kg}}$.", None),
    ("no option", "option", ANGLES, "The answer is 52°, as angle A shows.", None),
    ("no option", "option", FRACTIONS, "\\boxed{\\frac{5}{7}}", None),
    # 11: an option's value written otherwise
    ("other writing", "option", ANGLES, "\\boxed{60^{\\circ}}", "C"),
    ("other writing", "option", FRACTIONS, "So the ratio is \\boxed{0.75}.", "D"),
    ("other writing", "option", {"A": "1920's", "B": "1930's", "C": "1940's"}, "The answer is the 1930s.", "B"),
    ("other writing", "option", {"A": "$3: 4$", "B": "$4: 3$"}, "\\boxed{4:3}", "B"),
    ("other writing", "option", {"A": "$12 \\mathrm{~cm}^{2}$", "B": "$24 \\mathrm{~cm}^{2}$"},
     "\\boxed{24 \\text{ cm}^2}", "B"),
    # 12: a number compared with, an emphasised number, a number before "is"
    ("other numbers", "number", None, "We count the columns. There are **5** columns higher than 70.", "5"),
    ("other numbers", "number", None, "Their sum is **64**. Of these 64 about 25 % are blue.", "64"),
    ("other numbers", "number", None, "For x = 2 the function g(2) is 9.", "9"),
    ("other numbers", "number", None, "There are 4 shops that sold fewer than 12 cakes.", "4"),
    # 13: number words
    ("number words", "number", None, "After the last one is taken away, there are seven marbles left.", "7"),
    ("number words", "number", None, "The answer is thirty-two.", "32"),
    ("number words", "number", None, "one hundred and twelve", "112"),
    ("number words", "number", None, "I cannot tell how old the two men are.", None),
    # 14: a minus before \frac
    ("minus", "number", None, "The slope is therefore $-\\frac{2}{5}$.", "-0.4"),
    ("minus", "number", None, "\\boxed{-\\dfrac{7}{4}}", "-1.75"),
    ("minus", "option", {"A": "$\\frac{1}{2}$", "B": "$-\\frac{1}{2}$"}, "The slope is \\boxed{-\\frac12}.", "B"),
    # 15: roots, pi and powers in plain text
    ("plain formulas", "number", None, "The answer is 3√2.", str(3 * 2**0.5)),
    ("plain formulas", "number", None, "\\boxed{2^5}", "32"),
    ("plain formulas", "number", None, "Answer: 2 1/4", "2.25"),
    ("plain formulas", "math", None, "The area is 16pi.", "16\\pi"),
    ("plain formulas", "math", None, "Answer: 5√7", "5\\sqrt{7}"),
    # 18: matrix
    ("matrix", "math", None, "\\boxed{\\begin{pmatrix} 0 & 1 \\\\ -1 & 0 \\end{pmatrix}}",
     "\\begin{pmatrix} 0 & 1 \\\\ -1 & 0 \\end{pmatrix}"),
    ("matrix", "math", None, "So the vector is \\boxed{\\begin{pmatrix} 3 \\\\ -2 \\end{pmatrix}}.",
     "\\begin{pmatrix} 3 \\\\ -2 \\end{pmatrix}"),
    # 19: dollar and per cent signs
    ("dollar and per cent", "math", None, "She pays \\boxed{\\$27} in all.", "27"),
    ("dollar and per cent", "number", None, "The answer is \\$1,250.75.", "1250.75"),
    ("dollar and per cent", "number", None, "\\boxed{62.5\\%}", "62.5"),
    ("dollar and per cent", "math", None, "\\boxed{35\\%}", "35\\%"),
    # 20: unit after a formula, chain of equations, unmarked conclusion, other boxes
    ("formulas", "math", None, "<answer>BC = 12 / 4 * 2.5 = 7.5</answer>", "7.5"),
    ("formulas", "math", None, "Therefore, the width of the river is 8.5.", "8.5"),
    ("formulas", "math", None, "\\boxed {21}", "21"),
    ("formulas", "math", None, "\\fbox{13}", "13"),
    # 21: the verb to answer
    ("the verb", "number", None,
     "A pupil has to answer 80 questions. He has done 35, so 45 are left.", "45"),
    ("the verb", "number", None, "We answer 2 questions an hour. After 6 hours that makes 12.", "12"),
    ("the verb", "option", TREES, "To answer B's riddle one looks at the bark. It shows the birch.", "C"),
    # 22: a letter written to a formula
    ("letter and formula", "option", VOLUMES, "Answer: C\\(\\frac{2}{3}V\\)", "C"),
    ("letter and formula", "option", {"A": "2x", "B": "x^2", "C": "x+2"}, "The answer is B $x^2$.", "B"),
    # 23: dismissed, denied, hedged
    ("dismissed", "option", TREES, "So the tree is a birch. Option (D) does not apply here.", "C"),
    ("dismissed", "option", TREES, "The answer is B. Choice (A) is not correct, as the leaves show.", "B"),
    ("dismissed", "options", None, "This figure does not belong to Set C.", None),
    ("dismissed", "option", TREES, "I hesitate between option A and option B.", None),
    ("dismissed", "option", TREES, "Not A, not D; it is C.", "C"),
    ("dismissed", "option", TREES, "The answer isn't B but C.", "C"),
    # 24: another question made up
    ("next question", "option", TREES,
     "The answer is B.\n\nQuestion: Which river is the longest?\nA. Nile B. Amazon\nThe answer is A.", "B"),
    ("next question", "number", None, "The answer is 18.\n\nQuestion: How many legs have 3 spiders?\nThe answer is 24.",
     "18"),
    # 25: Chinese
    ("Chinese", "option", HAN, "图中有羽毛和翅膀，所以这道题的答案是C。", "C"),
    ("Chinese", "option", HAN, "综上所述，应该选择D。", "D"),
    ("Chinese", "option", HAN, "因此，正确答案为：B", "B"),
    ("Chinese", "number", None, "答案是 36。", "36"),
    ("Chinese", "option", HAN, "这张图片里的动物看起来很小，我没有办法看清楚它到底是什么样子的。", None),
    # 26: small letters
    ("small letters", "option", TREES, "d", "D"),
    ("small letters", "option", TREES, "answer: b", "B"),
    ("small letters", "option", TREES, "(c)", "C"),
    ("small letters", "option", {"A": "b", "B": "c", "C": "a"}, "The answer is b.", "A"),
    # 28: a guess in a loop
    ("loop", "option", TREES, "The leaf of tree A is green. The bark of tree B is grey. " * 12, None),
    ("loop", "option", TREES, "Let me look again. It may be B. " * 20 + "Let me look", None),
    ("loop", "math", None, "So x = 4. But then y = 5. " * 20, None),
    # 29: a sentence that ends in a quotation; verb, then yes or no
    ("quotation", "yes_no", None, 'The board above the door says "Open till nine." So yes, it is a shop.', "Yes"),
    ("quotation", "yes_no", None, "I cannot answer this with certainty. But no, I see no bicycle.", "No"),
    ("quotation", "yes_no", None, "Yes, a cat sits under the table. There is no dog, though.", "Yes"),
    ("quotation", "yes_no", None, "There is no doubt that a person rides the horse, so yes.", "Yes"),
    # corrections behind a box or a phrase
    ("correction", "option", TREES, "\\boxed{A}\n\nWait, the bark is white. The answer is C.", "C"),
    ("correction", "option", TREES, "The answer is D. Hmm, no. The answer is B.", "B"),
    ("correction", "number", None, "The answer is 12. I forgot the last row, so the answer is 15.", "15"),
    ("correction", "number", None, "\\boxed{8}. On second thoughts, the final answer is 9.", "9"),
    # refusals and hedges
    ("refusal", "option", TREES, "I can't see any picture here, so please upload it.", None),
    ("refusal", "option", ANGLES, "Without more information, it is not possible to say how large angle B is.", None),
    ("refusal", "option", TREES, "As an AI, I cannot identify the tree in option A or any other.", None),
    ("refusal", "option", COUNTS, "The picture does not show enough to decide.", None),
    ("refusal", "yes_no", None, "It could be yes or no, which nobody can tell from here.", None),
    ("refusal", "number", None, "I am sorry, but the picture is too blurred to count anything.", None),
    ("hedge", "option", TREES, "It might be A, but C is just as good, and I do not want to guess.", None),
    ("hedge", "option", TREES, "Either (B) or (D) would be right.", None),
    # a letter on a line before or after a list
    ("letter beside a list", "option", TEN,
     "The change is largest in option **G**:\n\nA: -26%\nB: -12%\nC: 0%\nD: 4%\nE: 9%\nF: 15%\nG: 21%", "G"),
    ("letter beside a list", "option", TREES, "C\n\nThe others do not match:\nA. pine\nB. oak\nD. willow", "C"),
    ("letter beside a list", "option", TREES, "A. pine\nB. oak\nC. birch\nD. willow\n\nB", "B"),
    # several letters where several are asked for
    ("sets", "options", None, "Both figures fit, so the answers are B and E.", "B, E"),
    ("sets", "options", None, "The answer is (A), (C), and (D).", "A, C, D"),
    ("sets", "options", None, "BD", "B, D"),
    ("sets", "options", None, "So the picture belongs to Set A.", "A"),
    # JSON
    ("JSON", "number", None, '{"reasoning": "8 rows of 7", "answer": "8 * 7 = 56"}', "56"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "options", "raw", "wanted"),
    [pytest.param(*wording[1:], id=f"{place} {wording[0]}") for place, wording in enumerate(WORDINGS)],
)
def test_wordings(kind: Kind, options: dict[str, str] | None, raw: str, wanted: str | None) -> None:
    assert extract(raw, kind, options)[0] == wanted
