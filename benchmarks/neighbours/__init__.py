"""One tenant takes all that it can get, and another is measured alone, beside it, and alone again, in one run of the whole suite.

`greedy` is a process of its own, at a lower rank for the CPU: what is measured is what the suite shares, not two cores. `rows` are
put in as a subscription system could. `good` calls and measures. `usage` reads what each process took meanwhile.
"""
