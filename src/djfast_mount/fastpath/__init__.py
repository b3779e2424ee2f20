"""The straight way: what FastAPI does for a request of one route, written out as one function for that route.

1. FastAPI's order, nothing hoisted. Before the first call only the body, the query string and the cookies are read.
   Each dependency's parameters are read and validated directly before its call, the endpoint's before the endpoint.
2. A surprise before anything of the user's has run is replayed to FastAPI, message by message. Where a validator
   refuses later, FastAPI's own `solve_dependencies` finds and words the errors, from the results so far.
3. What the user's code raises goes up inside the API's own stack. No reference cycle is left behind.
4. The plain `def` work that stands together is one job on the request thread.
5. What a plan does not know is FastAPI's. What may change under a running app is asked by identity at each request.
6. FastAPI is the oracle: the tests send the same requests to both.

`mount(fast_path=False)` leaves all of this out, and nothing is lost but speed.
"""
