"""Goldens for the Jinja interpreter: what Python's jinja2 renders, configured as transformers configures it for chat templates.

    python3 make_goldens.py                    # writes goldens.json and fuzz.jsonl.gz beside itself

It needs jinja2 (Debian: python3-jinja2). Three groups: `expressions` (small templates, one construct each), `templates` (the files in
templates/, over the conversations below), and the fuzz: the same files over generated conversations, of which each line of fuzz.jsonl.gz is
one, with a hash of all the results. Spans of generation blocks are in UTF-16 units.
`error` is null, "raise" (raise_exception, with its words in `words`), or "error" (anything else that fails).
"""
import argparse
import datetime
import functools
import gzip
import hashlib
import itertools
import json
import pathlib
import random
import sys
from contextlib import contextmanager

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2026, 6, 10, 12)


class Raised(jinja2.exceptions.TemplateError):
    pass


class GenerationTracker(jinja2.ext.Extension):
    """{% generation %}: where the block's text lies in what is rendered, as transformers' own extension finds it."""
    tags = {"generation"}

    def __init__(self, environment):
        super().__init__(environment)
        environment.extend(track=self.track)
        self.blocks = self.spans = None

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def _mark(self, context, caller):
        text = caller()
        start = len("".join(self.blocks))
        self.spans.append((start, start + len(text)))
        return text

    @contextmanager
    def track(self, blocks, spans):
        self.blocks, self.spans = blocks, spans
        yield
        self.blocks = self.spans = None


def raise_exception(message):
    raise Raised(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


ENVIRONMENT = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTracker, jinja2.ext.loopcontrols])
ENVIRONMENT.filters["tojson"] = tojson
ENVIRONMENT.globals["raise_exception"] = raise_exception
ENVIRONMENT.globals["strftime_now"] = NOW.strftime


def units(text, place):
    return len(text[:place].encode("utf-16-le")) // 2


@functools.cache
def compiled(source):
    return ENVIRONMENT.from_string(source)


def render(source, row, add_generation_prompt):
    variables = dict(tools=None, documents=None, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    variables |= row
    variables["add_generation_prompt"] = add_generation_prompt
    blocks, spans = [], []
    try:
        template = compiled(source)
        with ENVIRONMENT.track(blocks, spans):
            for block in template.generate(**variables):
                blocks.append(block)
    except Raised as error:
        return dict(error="raise", words=str(error))
    except Exception:
        return dict(error="error")
    text = "".join(blocks)
    return dict(text=text, spans=[[units(text, start), units(text, end)] for start, end in spans], error=None)


# ---------------------------------------------------------------------------------------------------------------- expressions
ROW = dict(
    messages=[dict(role="user", content="Héllo wörld 🙂 ÄÖ"), dict(role="assistant", content="b\n\nc", n=3)],
    n=7, f=2.5, whole=1.0, big=1e20, small=1e-7, huge=123456789012345678901234567890, neg=-0.0, t=True, z=None, s="  Some text\there ", empty="",
    l=[3, 1, 2], mixed=[1, 2.0, "x", None, True, [1, "q'\"\n"], {"k": 1.5}], d={"b": 1, "A": 2, "c": {"x": [1, 2]}, "items": "key"},
    users=[dict(name="Ann", age=30, tag="x"), dict(name="bob", age=25), dict(name="Cid", age=30, tag="y")], u="ß ﬁ Σίσυφος ΣΑΣ ǆ \u00e9 İ",
    control="\x00\x1f\x7f\x85\u200b\u2028\ud7ff\ue000\U0001f600 \\ é")

EXPRESSIONS = r"""
{{ n }} {{ f }} {{ whole }} {{ big }} {{ small }} {{ huge }} {{ neg }} {{ t }} {{ z }} {{ empty }}|
{{ 1e16 }} {{ 1e15 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 0.0001 }} {{ 123456.789e3 }} {{ 5e-324 }} {{ 1.7976931348623157e308 }} {{ 1_000 }} {{ 0xff }} {{ 0b101 }} {{ 0o17 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 9223372036854775807 + 1 }} {{ huge * huge }} {{ huge // 7 }} {{ huge % 1000 }} {{ -huge }}
{{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ none == false }} {{ [1, 2] == [1, 2.0] }} {{ (1,) == [1] }} {{ {'a': 1} == {'a': 1.0} }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 < 2 == true }} {{ 'Z' < 'a' }}
{{ 'a' < 1 }}
{{ none < 1 }}
{{ not n }} {{ not not n }} {{ not empty }} {{ n and f }} {{ empty or 'x' }} {{ z and 1 }} {{ 0 or z }}
{{ 'x' if t }} {{ 'x' if not t }}| {{ 'x' if t else 'y' }} {{ 'a' if not t else 'b' if z else 'c' }}
{{ 'a' ~ 1 ~ none ~ 1.0 ~ true }} {{ 1 ~ 2 }} {{ undefined_name ~ 'x' }}
{{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1] * 2 }} {{ 'x' * -1 }}| {{ [1] + [2] }} {{ (1,) + (2, 3) }}
{{ 'a' + 1 }}
{{ undefined_name + 'x' }}
{{ 'x' + z }}
{{ 2 in l }} {{ 5 not in l }} {{ 'A' in d }} {{ 'om' in s }} {{ 'x' in undefined_name }} {{ 1.0 in l }} {{ none in mixed }}
{{ 1 in 'abc' }}
{{ 1 in 5 }}
{{ l }} {{ mixed }} {{ d }} {{ (1, 'a') }} {{ (1,) }} {{ () }} {{ [] }} {{ {} }} {{ {1: 'a', none: 2.0, true: 3} }}
{{ control | list }}
{{ [control] }} {{ ['it\'s', "a \"b\"", 'both \' and "'] }}
{{ l[0] }} {{ l[-1] }} {{ l[5] }}| {{ l[1:] }} {{ l[::-1] }} {{ l[-2:] }} {{ l[:-1] }} {{ l[::2] }} {{ l[5:] }} {{ l[2:0:-1] }} {{ (1, 2, 3)[1:] }}
{{ messages[0].content[0:5] }} {{ messages[0].content[12] }} {{ messages[0].content[-4] }} {{ messages[0].content[::-1] }} {{ messages[0].content[12:14] }} {{ s[100:] }}|
{{ l[::0] }}
{{ l['x'] }}| {{ d['A'] }} {{ d.A }} {{ d['nope'] }}| {{ d.nope }}| {{ d.c.x[1] }} {{ d['items'] }} {{ l.0 }} {{ d.c['x'].1 }} {{ none.x }}|
{{ d.nope.more }}
{{ d['nope']['more'] }}
{{ undefined_name.x }}
{{ undefined_name['x'] }}
{{ undefined_name }}| {{ undefined_name is defined }} {{ undefined_name | default('dflt') }} {{ undefined_name | length }} {{ undefined_name | list }} {{ undefined_name == other_name }}
{{ undefined_name() }}
{{ 'x'() }}
{{ d.items() }}
{{ d | items | list }} {{ d.c.items() | list }} {{ d.keys() | list }} {{ d.c.values() | list }} {{ d.get('A') }} {{ d.get('q') }} {{ d.get('q', 5) }} {{ d.c.keys() }} {{ d.c.items() }}
{{ d.update({'x': 1}) }}
{{ l.append(4) }}
{{ d.pop('b') }}
{{ d | dictsort }} {{ d | dictsort(true) }} {{ {'x': 3, 'y': 1} | dictsort(by='value') }} {{ {'x': 3, 'y': 1} | dictsort(reverse=true) }}
{{ l | sort }} {{ l | sort(reverse=true) }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A', 'c'] | sort(case_sensitive=true) }} {{ users | sort(attribute='age') | map(attribute='name') | list }}
{{ users | sort(attribute='age,name') | map(attribute='name') | join(',') }} {{ users | sort(attribute='name', reverse=true) | map(attribute='name') | join(',') }}
{{ [1, 'a'] | sort }}
{{ l | map('string') | list }} {{ users | map(attribute='tag', default='-') | list }} {{ users | map(attribute='tag') | list }} {{ ['a', 'b'] | map('upper') | join('+') }} {{ l | map('default', 1) | list }}
{{ users | selectattr('age', 'equalto', 30) | map(attribute='name') | list }} {{ users | rejectattr('tag', 'defined') | map(attribute='name') | list }} {{ users | selectattr('tag') | list | length }}
{{ l | select('odd') | list }} {{ l | reject('gt', 1) | list }} {{ mixed | select('string') | list }} {{ mixed | select | list | length }} {{ l | select('in', [1, 2]) | list }}
{% if users | selectattr('age', 'equalto', 99) %}generators are true{% endif %} {{ users | selectattr('age', 'equalto', 99) | list }}
{{ (l | map('string')) | length }}
{% set g = l | map('string') %}{{ g | join(',') }}|{{ g | join(',') }}|
{{ l | first }} {{ l | last }} {{ [] | first }}| {{ 'abc' | first }} {{ 'abc' | last }} {{ l | reverse | list }} {{ 'a🙂b' | reverse }} {{ d | first }}
{{ l | join }} {{ l | join(', ') }} {{ users | join('/', attribute='name') }} {{ 'abc' | join('-') }} {{ mixed | join('|') }}
{{ l | length }} {{ s | length }} {{ d | length }} {{ messages[0].content | length }} {{ l | count }} {{ (1, 2) | length }}
{{ n | length }}
{{ l | max }} {{ l | min }} {{ l | sum }} {{ users | sum(attribute='age') }} {{ users | map(attribute='age') | max }} {{ ['b', 'A'] | min }} {{ [] | max }}|
{{ [1, 1.0, 'a', 'A', 'b'] | unique | list }} {{ users | unique(attribute='age') | map(attribute='name') | list }}
{% for key, group in users | groupby('age') %}{{ key }}:{{ group | map(attribute='name') | join('+') }};{% endfor %}
{{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3, 4, 5] | batch(2, '-') | list }} {{ [1, 2, 3, 4, 5] | slice(3) | list }} {{ [1, 2, 3, 4, 5] | slice(3, '-') | list }}
{{ s | trim }}| {{ 'xxaxx' | trim('x') }} {{ s.strip() }}| {{ s.lstrip() }}| {{ s.rstrip() }}| {{ 'xyaxy'.strip('yx') }} {{ '\u00a0\u3000x\u200b' | trim }}|
{{ 5 | trim }} {{ l | trim }} {{ none | trim }}
{{ u | upper }} {{ u | lower }} {{ u | title }} {{ u | capitalize }} {{ u.title() }} {{ u.capitalize() }} {{ u.swapcase() }} {{ "they're bill's" | title }} {{ "they're bill's".title() }} {{ 'a-b (c) [d] x_y' | title }}
{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a b c'.rsplit(' ', 1) }} {{ 'a b c d'.split(none, 2) }} {{ 'a b c d'.rsplit(none, 2) }} {{ ''.split() }} {{ ''.split(',') }}
{{ 'a'.split('') }}
{{ 'a\nb\r\nc\x0bd\n'.splitlines() }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }} {{ 'abc'.rpartition('x') }}
{{ 'hello'.startswith('he') }} {{ 'hello'.startswith(('x', 'h')) }} {{ 'hello'.endswith('lo') }} {{ 'hello'.startswith('l', 2) }} {{ 'a🙂b'.find('b') }} {{ 'abcabc'.rfind('b') }} {{ 'abc'.find('z') }} {{ 'abcabc'.find('b', 2) }}
{{ 'abc'.index('z') }}
{{ 'abcabc'.count('b') }} {{ 'aaa'.count('aa') }} {{ 'abc'.count('') }} {{ 'a-b'.replace('-', '+') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'ab'.replace('', '.') }} {{ 'aaa' | replace('a', 'b', 1) }} {{ 5 | replace(5, 6) }}
{{ '42'.zfill(5) }} {{ '-42'.zfill(5) }} {{ 'x'.ljust(3) }}| {{ 'x'.rjust(3, '.') }} {{ 'x'.center(4, '*') }} {{ 'xy'.center(5, '*') }} {{ 'x' | center(5) }}| {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }}
{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'ab1'.islower() }} {{ ''.isdigit() }} {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ '½'.isnumeric() }}
{{ ','.join(['a', 'b']) }} {{ '-'.join('abc') }}
{{ ','.join([1]) }}
{{ '%s and %d, %05.2f %r %x %+d %-5s| %5s %%' % ('a', 42, 3.14159, 'q', 255, 5, 'l', 'r') }} {{ '%s' % 'x' }} {{ '%(a)s' % {'a': 1} }} {{ '%s-%s' | format('a', 2) }}
{{ '%d' % 'x' }}
{{ '{} {}'.format('a', 2) }} {{ '{0}{1}{0}'.format('a', 'b') }} {{ '{x}'.format(x=1) }} {{ '{{}}'.format() }}
{{ 'one two\nthree\n\nfour' | indent }}| {{ 'a\nb' | indent(2, true) }} {{ 'a\n\nb' | indent(2, blank=true) }} {{ 'a\nb' | indent('> ') }}
{{ 'The quick brown fox jumps' | truncate(12) }} {{ 'The quick brown fox' | truncate(9, true) }} {{ 'The quick' | truncate(9) }} {{ 'The quick brown fox' | truncate(11, false, '!', 0) }} {{ 'a b  c_d' | wordcount }}
{{ mixed | tojson }} {{ d | tojson }} {{ d | tojson(indent=2) }} {{ [] | tojson(indent=2) }} {{ {} | tojson }} {{ 'a"b\\c\n\u0001é🙂</script>' | tojson }} {{ 'é🙂' | tojson(ensure_ascii=true) }} {{ d | tojson(sort_keys=true) }}
{{ d | tojson(separators=(',', ':')) }} {{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }} {{ [1.0, 1e20, 1e-7, huge, neg] | tojson }} {{ (1, 2) | tojson }} {{ [[], {}, [1]] | tojson(indent=1) }}
{{ undefined_name | tojson }}
{{ [undefined_name] | tojson }}
{{ '42' | int }} {{ '4x' | int }} {{ '4x' | int(-1) }} {{ 3.9 | int }} {{ -3.9 | int }} {{ ' 7 ' | int }} {{ '3.7' | int }} {{ none | int }} {{ true | int }} {{ '1e3' | int }} {{ '1_0' | int }}
{{ '4.5' | float }} {{ 'x' | float }} {{ 'x' | float(1.5) }} {{ 3 | float }} {{ 'inf' | float }} {{ 'nan' | float }} {{ '1e3' | float }} {{ -5 | abs }} {{ -5.5 | abs }}
{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.19 | round(1, 'floor') }} {{ 7 | round }} {{ 1.005 | round(2) }}
{{ n is number }} {{ f is number }} {{ t is number }} {{ s is number }} {{ n is integer }} {{ t is integer }} {{ f is float }} {{ whole is integer }} {{ t is boolean }} {{ n is boolean }}
{{ s is string }} {{ l is sequence }} {{ s is sequence }} {{ d is sequence }} {{ n is sequence }} {{ none is sequence }} {{ undefined_name is sequence }} {{ l is iterable }} {{ s is iterable }} {{ n is iterable }} {{ d is mapping }} {{ l is mapping }}
{{ z is none }} {{ n is none }} {{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(2) }} {{ n is eq 7 }} {{ n is ne(7) }} {{ n is gt 5 }} {{ n is lt(5) }} {{ n is in [7] }} {{ n is not in [7] }} {{ t is true }} {{ n is true }} {{ t is sameas true }}
{{ 'ab' is lower }} {{ 'AB' is upper }} {{ range is callable }} {{ n is callable }} {{ n is defined and z is none }} {{ n is not defined }} {{ not n is defined }} {{ 'upper' is filter }} {{ 'odd' is test }}
{{ s is odd }}
{{ range(5) | list }} {{ range(2, 8, 3) | list }} {{ range(5, 0, -2) | list }} {{ range(3) }} {{ range(10)[3] }} {{ range(10)[2:4] | list }} {{ 3 in range(5) }}
{{ range(1000000) }}
{{ dict(a=1, b='x') }} {{ dict([('k', 1)]) }} {{ dict({'a': 1}, b=2) }}
{% set j = joiner('; ') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}
{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem | default('-') }}{{ loop.nextitem | default('-') }}{{ loop.depth }}{{ loop.cycle('a', 'b') }}{{ loop.changed(i % 2) }};{% endfor %}
{% for i in [] %}x{% else %}empty{% endfor %} {% for i in undefined_name %}x{% else %}undefined{% endfor %} {% for i in l if i > 1 %}{{ i }}/{{ loop.length }} {% else %}none{% endfor %} {% for c in 'a🙂' %}[{{ c }}]{% endfor %}
{% for i in 5 %}x{% endfor %}
{% for i in none %}x{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %} {% for k in d %}{{ k }}{% endfor %} 
{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [(1, 2, 3)] %}x{% endfor %}
{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for item in [1, [2, [3, 4]], 5] recursive %}{% if item is sequence %}({{ loop(item) }}){% else %}{{ item }}@{{ loop.depth }}{% endif %}{% endfor %}
{% set x = 0 %}{% for i in l %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }} {% set ns = namespace(x=0, y=d) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }} {{ ns.y.A }} {{ ns['x'] }} {{ ns.nope is defined }}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set c = 1, %}{{ c }} {% set (e, g) = [3, 4] %}{{ e }}{{ g }} {% if true %}{% set inside = 5 %}{% endif %}{{ inside }}
{% set n.x = 1 %}
{% set text %}<{{ n }}>{% endset %}{{ text }} {% set text | upper | replace('B', 'c') %}ab{% endset %}{{ text }} {{ text is string }}
{% macro f(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(b=5, a=4) }}{{ f() }}{{ f.name }}{{ f.arguments }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}
{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}
{% macro outer(x) %}[{{ inner(x) }}]{% endmacro %}{% macro inner(x) %}({{ x }}{{ later }}){% endmacro %}{% set later = '!' %}{{ outer(1) }}
{% macro box(title) %}<{{ title }}>{{ caller('arg') }}</{{ title }}>{% endmacro %}{% call(x) box('b') %}body {{ x }} {{ n }}{% endcall %}
{% macro nocaller() %}x{% endmacro %}{% call nocaller() %}y{% endcall %}
{% macro rec(k) %}{{ k }}{% if k > 0 %}{{ rec(k - 1) }}{% endif %}{% endmacro %}{{ rec(5) }}
{% macro rec() %}{{ rec() }}{% endmacro %}{{ rec() }}
{% with a = 1, b = n %}{{ a }}{{ b }}{% set a = 9 %}{{ a }}{% endwith %}{{ a is defined }}
{% filter upper %}a{{ 'b' }}{% endfilter %} {% filter replace('a', 'b') | upper %}aa{% endfilter %}
{% if n > 5 and f < 3 or false %}yes{% elif n %}no{% else %}never{% endif %} {% if empty %}a{% elif z %}b{% else %}c{% endif %}
{% for i in l %}{% generation %}{{ i }}🙂{% endgeneration %}, {% endfor %}é{% generation %}{% endgeneration %}x
{{ raise_exception('own words: ' ~ n) }}
{{ strftime_now('%d %b %Y') }} {{ 'a' 'b' "c" }} {{ '\x41\u00e9\U0001F642\t|\q\101\\' }} {{ "a
b" }}
{{ (n) }} {{ (n, f) }} {{ n, f }} {{ [1, 2,] }} {{ {'a': 1,} }} {{ -n | abs }} {{ (-n) | abs }} {{ +n }} {{ - - n }} {{ not n == 7 }} {{ n == 7 and not f }}
{{ f(*[1, 2]) if false else 'x' }} {% macro g(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ g(*[1, 2]) }}{{ g(**{'a': 3, 'b': 4}) }}{{ g(*[5], b=6) }}
{{ 1 if true else 1 / 0 }} {{ true or undefined_name.x }} {{ false and undefined_name.x }} {{ 10 | string | length }} {{ (1, 2) is sequence }} {{ 'abc' | list }} {{ n | string is string }}
{{ d | attr('A') }}| {{ 'x' | attr('upper') is callable }} {{ l.index(2) }} {{ l.count(1) }} {{ (1, 2).index(2) }} {{ whole.is_integer() }}
{{ l.index(9) }}
{{ s.nope }}| {{ s.nope() }}
{{ n.x }}| {{ true.x }}| {{ l.x }}|
{{ messages | length > 1 and messages[-1].n * 2 }} {{ messages[0]['role'] ~ ':' ~ messages[1].n }} {{ messages | map(attribute='role') | unique | list }} {{ messages[-1:] }} {{ messages[:1][0].role }}
{{ x | nosuchfilter }}
{{ x is nosuchtest }}
{% nosuchtag %}
{% if n %}
{{ n
{{ }}
{% for in l %}{% endfor %}
{{ n $ 2 }}
{{ (1, 2 }}
{{ 'unclosed }}
{% endif %}
{% break %}
{# unclosed
{% raw %}x
{% set true = 1 %}
{{ 1 2 }}
{{ a.b. }}
{% macro f(a=1, b) %}{% endmacro %}
{{ f(a=1, 2) }}
{% if n %}x{% endfor %}
""".strip("\n")


def expressions():
    lines = EXPRESSIONS.replace('"a\nb"', '"a\0b"').split("\n")
    return [line.replace("\0", "\n") for line in lines]


# ---------------------------------------------------------------------------------------------------------------- conversations
def user(content, **more):
    return dict(role="user", content=content, **more)


def assistant(content, **more):
    return dict(role="assistant", content=content, **more)


def call(name, arguments, id="abcdefgh1"):
    return dict(id=id, type="function", function=dict(name=name, arguments=arguments))


WEATHER = dict(type="function", function=dict(name="get_weather", description="Get the weather", parameters=dict(
    type="object", properties=dict(city=dict(type="string", description="A city"), unit=dict(type="string", enum=["celsius", "fahrenheit"]), Days=dict(type=["integer", "null"])),
    required=["city"])))
NOTHING = dict(type="function", function=dict(name="nothing", description=None))

ROWS = [
    dict(messages=[user("What is 1+1?"), assistant("2")]),
    dict(messages=[user("What is 1+1?")]),
    dict(messages=[dict(role="system", content="  Be brief. \n"), user("Hi"), assistant("Hello 🙂!"), user("  Bye\n"), assistant("\n\nSee you.\n")]),
    dict(messages=[dict(role="developer", content="Rules"), user("Hi"), assistant("Hello")]),
    dict(messages=[user("Weather?"), assistant(None, tool_calls=[call("get_weather", dict(city="Paris", n=3, f=1.0, big=1e20, t=True, z=None, l=[1, "two", dict(B=1, a=2)]))]),
                   dict(role="tool", tool_call_id="abcdefgh1", content='{"temp": 21}'), assistant("21 degrees.")], tools=[WEATHER, NOTHING]),
    dict(messages=[user("x"), assistant("Let me see.", tool_calls=[call("nothing", {}, "c1"), call("nothing", '{"a": 1}', "c2")]),
                   dict(role="tool", tool_call_id="c2", content={"ok": True, "v": [1, 2]}), assistant("Done.")], tools=[NOTHING]),
    dict(messages=[user("q"), assistant("a", reasoning="old\nthought"), user("q2"), assistant("<think>\nhm\n</think>\n\nb", reasoning_content="new\nthought")], enable_thinking=True),
    dict(messages=[user([dict(type="text", text=" Hello "), dict(type="text", text="world ")]), assistant([dict(type="text", text="Hi ")])]),
    dict(messages=[assistant("hello")]), dict(messages=[user("a"), user("b"), assistant("c")]), dict(messages=[user(""), assistant("")]),
    dict(messages=[dict(role="odd", content="x")]), dict(messages=[user("a"), assistant(None)]), dict(messages=[user("a"), dict(role="tool", content="r")]),
    dict(messages=[user("\u00a0\u3000 hi \x85\x1c"), assistant("\u200b ok \ufeff")]), dict(messages=[user("{{ x }} {% if %}"), assistant("it's \"ok\" \\n\r\n")], enable_thinking=False, custom_tools=[1, 2.0]),
]


def generated(random):
    """A conversation of any shape that passes for one, and a few that do not."""
    words = ["Hello", "1+1=2", " spaced ", "\n\nlines\n", "naïve 日本", "🙂👍", "<turn|>", "</think>x", "<think>\ny\n</think>\n\nz", "{{ x }}", "it's \"q\"", "\t", "", "ß ÄÖ", "\\n", "\u00a0"]
    text = lambda: " ".join(random.choices(words, k=random.randrange(0, 5)))
    chance = lambda share: random.random() < share

    def value(depth=0):
        kind = random.randrange(9 if depth < 3 else 7)
        return [lambda: None, lambda: chance(0.5), lambda: random.randrange(-5, 10 ** random.randrange(1, 22)), lambda: random.choice([0.5, 1.0, -0.0, 1e20, 1e-7, 3.14]),
                text, text, lambda: random.choice(words), lambda: [value(depth + 1) for _ in range(random.randrange(4))],
                lambda: {random.choice(["a", "B", "c d", "é", "_x", "items"]): value(depth + 1) for _ in range(random.randrange(4))}][kind]()

    def part():
        if chance(0.06):
            return random.choice([dict(type="image"), dict(type="thinking", thinking=text()), dict(type="text"), text(), None])
        return dict(type="text", text=text())

    def content():
        if chance(0.03):
            return value()                          # no content at all, or of an odd type
        return [part() for _ in range(random.randrange(1, 4))] if chance(0.15) else text()

    def schema(depth=0):
        kind = random.choice(["string", "integer", "number", "boolean", "array", "object", ["string", "null"], "null", None])
        spec = dict(type=kind) if kind else dict(oneOf=[schema(depth + 1), dict(type="string", description="one")]) if depth < 2 else {}
        if kind == "string" and chance(0.4):
            spec["enum"] = random.sample(["celsius", "é", "a b", "\"q\""], random.randrange(1, 4))
        if kind == "array" and chance(0.8):
            spec["items"] = schema(depth + 1) if depth < 2 else dict(type="string")
        if kind == "object" and depth < 2 and chance(0.7):
            spec["properties"] = {name: schema(depth + 1) for name in random.sample(["x", "Y", "z z"], random.randrange(3))}
        for key, make in (("description", text), ("default", value), ("nullable", lambda: chance(0.5)), ("minItems", lambda: 1), ("x-odd", value)):
            if chance(0.2):
                spec[key] = make()
        return spec

    def tool():
        if chance(0.4):
            return random.choice([WEATHER, NOTHING])
        function = dict(name=random.choice(["calc", "get_weather", "look-up"]), description=random.choice([text(), None, "Looks it up."]))
        function["parameters"] = dict(type="object", properties={name: schema() for name in random.sample(["city", "Unit", "n", "opts"], random.randrange(4))})
        if chance(0.6):
            function["parameters"]["required"] = random.sample(["city", "n", "none"], random.randrange(3))
        for key, make in (("strict", lambda: True), ("return", lambda: dict(type="string", description="What it gives"))):
            if chance(0.2):
                function[key] = make()
        return function if chance(0.1) else dict(type="function", function=function)

    messages = []
    if chance(0.4):
        messages.append(dict(role=random.choice(["system", "system", "developer"]), content=content()))
    for turn in range(random.randrange(1, 5)):
        messages.append(user(content()))
        while chance(0.3):
            ids = [random.choice(["abcdefgh1", "c1", "123456789"]) for _ in range(random.choice([1, 1, 2]))]
            arguments = lambda: json.dumps(value()) if chance(0.2) else {k: value() for k in random.sample(["city", "Unit", "n"], random.randrange(3))}
            calls = [call(random.choice(["get_weather", "nothing"]), arguments(), id) for id in ids]
            if chance(0.08):
                calls = [random.choice([dict(name="bare", arguments=value()), dict(function=dict(name="no arguments")), dict(id="c1", function=dict(name="f", arguments=None))])]
            message = assistant(random.choice([None, "", text()]), tool_calls=calls)
            if chance(0.2):
                message[random.choice(["reasoning", "reasoning_content", "thinking"])] = text()
            messages.append(message)
            for id in ids:
                result = dict(role="tool", tool_call_id=id, content=text() if chance(0.8) else {"v": value()})
                if chance(0.3):
                    result["name"] = "get_weather"
                messages.append(result)
        answer = assistant(content())
        if chance(0.2):
            answer[random.choice(["reasoning", "reasoning_content"])] = random.choice([text(), None])
        if chance(0.1):
            answer["extra"] = value()
        if chance(0.1):
            answer["tool_calls"] = random.choice([None, []])
        messages.append(answer)
    if chance(0.3):
        messages.pop()
    if chance(0.05):
        messages.append(dict(role=random.choice(["critic", "model", "tool", "ipython"]), content=text()))
    row = dict(messages=messages or [user("x")])
    if chance(0.4):
        row["tools"] = [tool() for _ in range(random.randrange(4))]
    for key, make in (("enable_thinking", lambda: chance(0.5)), ("reasoning_effort", lambda: random.choice(["low", "high"])), ("date_string", lambda: "1 May 2026"),
                      ("documents", lambda: [dict(title=text(), text=text())]), ("custom_tools", lambda: random.choice([None, [WEATHER]]))):
        if chance(0.3 if key == "enable_thinking" else 0.08):
            row[key] = make()
    return row


FUZZ_ROWS = 2400
SEED = 20260610


def fuzz(files, seed, rows):
    """Generated rows, and what each template makes of them."""
    draw = random.Random(seed)
    kinds = {None: 0, "raise": 0, "error": 0}
    for _ in range(rows):
        row, prompt = generated(draw), draw.random() < 0.5
        results = {name: render(source, row, prompt) for name, source in files.items()}
        for result in results.values():
            kinds[result["error"]] += 1
        yield dict(row, add_generation_prompt=prompt), results
    print("fuzz", rows, kinds)


def describe(result):
    spans = ";".join(f"{start},{end}" for start, end in result.get("spans", []))
    return "\0".join([result["error"] or "", result.get("words", result.get("text", "")), spans])


def fingerprint(results):
    return hashlib.sha256("\1".join(describe(results[name]) for name in sorted(results)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", type=int, metavar="N", help="print generated row N and what each template makes of it, and write nothing")
    parser.add_argument("--fuzz-only", type=pathlib.Path, metavar="FILE", help="write the fuzz alone, with whole results in place of hashes")
    parser.add_argument("--templates", type=pathlib.Path, default=HERE / "templates", metavar="FOLDER", help="other templates: all *.jinja below it")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rows", type=int, default=FUZZ_ROWS)
    options = parser.parse_args()
    files = {path.relative_to(options.templates).as_posix().removesuffix(".jinja"): path.read_text(encoding="utf-8")
             for path in sorted(options.templates.rglob("*.jinja"))}
    if options.show is not None:
        row, results = next(itertools.islice(fuzz(files, options.seed, options.rows), options.show, None))
        print(json.dumps(dict(row=row, results=results), indent=1, ensure_ascii=False))
        return
    if options.fuzz_only:
        lines = [json.dumps(dict(row=row, results={name: describe(result) for name, result in results.items()})) for row, results in fuzz(files, options.seed, options.rows)]
        options.fuzz_only.write_text("\n".join(lines) + "\n")
        return
    case = lambda name, source, row, prompt: dict(template=name, row=row, add_generation_prompt=prompt, **render(source, row, prompt))
    goldens = dict(
        reference=f"jinja2 {jinja2.__version__}, ImmutableSandboxedEnvironment(trim_blocks, lstrip_blocks), loopcontrols", row=ROW,
        expressions=[dict(source=source, **render(source, ROW, False)) for source in expressions()],
        templates=[case(name, source, row, prompt) for name, source in files.items() for row in ROWS for prompt in (False, True)])
    # Surrogates cannot be written as UTF-8: everything outside ASCII is escaped.
    (HERE / "goldens.json").write_text(json.dumps(goldens, separators=(",", ":")) + "\n")
    for group in ("expressions", "templates"):
        print(group, len(goldens[group]), {kind: sum(c["error"] == kind for c in goldens[group]) for kind in (None, "raise", "error")})
    # The texts themselves would fill the repository: of them only a hash.
    lines = [json.dumps(dict(row, fingerprint=fingerprint(results)), separators=(",", ":")) for row, results in fuzz(files, options.seed, options.rows)]
    (HERE / "fuzz.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
