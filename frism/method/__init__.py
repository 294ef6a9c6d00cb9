"""Define what a merging method is: its functions, its parameters, the recipe of a variant."""

from frism.method.fitted import Fitted as Fitted
from frism.method.fitting import DevScores as DevScores
from frism.method.fitting import Fitting as Fitting
from frism.method.ranges import Count as Count
from frism.method.ranges import Fraction as Fraction
from frism.method.ranges import Index as Index
from frism.method.ranges import NonNegative as NonNegative
from frism.method.ranges import Positive as Positive
from frism.method.ranges import Share as Share
from frism.method.site import Array as Array
from frism.method.site import Pieces as Pieces
from frism.method.site import Site as Site
