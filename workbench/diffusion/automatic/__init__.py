"""The automatic plan: what each step computes, chosen from measurements of the user's own model.

    plan = AutomaticPlan(budget=0.5).prepare(pipeline).plan

1. A survey (`survey`) measures on a full run how far every layer's value moves, how far each kind
   of reuse throws the output off at each age, and what each kind of step costs.
2. A search (`search`) finds, for a share of the time, the plan with the least expected error, by
   dynamic programming over steps. No published list of steps is among its candidates.
3. Trials (`trials`) sample the most promising plans, and small changes of the best one, on the
   search seeds; what they measure decides.
4. A verdict (`judging`) holds the result against hand-made lists on other seeds.

The method is ours: no paper describes it.
"""

from workbench.diffusion.automatic.method import AutomaticPlan

__all__ = ["AutomaticPlan"]
