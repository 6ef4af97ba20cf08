import t from 'tap'
import { z } from 'zod'
import { issueSentence, issueWords } from '../../src/base/issue-words.ts'

const say = (schema: z.ZodType, value: unknown) =>
  schema.safeParse(value).error!.issues.map((issue) => issueWords(issue))

t.test('what a schema has against a value is said in words for people', async (t) => {
  t.same(say(z.string().min(1), ''), ['must not be empty'])
  t.same(say(z.string().min(3), 'a'), ['must have at least 3 characters'])
  t.same(say(z.string().max(2), 'abc'), ['must have at most 2 characters'])
  t.same(say(z.int().max(128), 1000), ['must be at most 128'])
  t.same(say(z.number().gt(0), 0), ['must be more than 0'])
  t.same(say(z.array(z.string()).min(2), []), ['must have at least 2 items'])
  t.same(say(z.enum(['a', 'b']), 'c'), ['must be one of "a", "b"'])
  t.same(say(z.literal('x'), 'c'), ['must be "x"'])
  t.same(say(z.string(), 5), ['must be a text'])
  t.same(say(z.boolean(), 'yes'), ['must be true or false'])
  t.same(say(z.strictObject({ a: z.string() }), { b: 1 }), ['is missing', 'does not know "b"'])
  t.same(
    say(
      z.string().refine(() => false, 'is no moon'),
      '',
    ),
    ['is no moon'],
    "a plugin's own words stay",
  )
})

t.test('a place stands in front, before a colon where the words are not ours', async (t) => {
  const [ours] = z.int().max(3).safeParse(4).error!.issues
  const [theirs] = z
    .string()
    .refine(() => false, 'is no moon')
    .safeParse('').error!.issues
  t.equal(issueSentence(ours!, 'a.b'), 'a.b must be at most 3')
  t.equal(issueSentence(theirs!, 'a.b'), 'a.b: is no moon')
  t.equal(issueSentence(ours!, ''), 'must be at most 3')
})
