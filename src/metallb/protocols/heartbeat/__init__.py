"""Signs of life between speakers of this kind: a death is noticed in half a second, gossip's suspicion takes five.

Beside gossip, never instead of it: who is a member is gossip's to say. Members that speak this tell so in the `Meta` of
their gossip; signs of life travel as gossip's user messages, which members without it pass over.
"""
