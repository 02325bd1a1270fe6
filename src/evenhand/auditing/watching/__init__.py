"""Watch a promise: after every look, is it kept, broken, or can one not tell yet?"""
