import JSON
import Testing

@Suite struct ArrayWalkTests {
  /// All of an array, its arrays entered, as it would be written without blanks.
  private func text(_ walk: inout ArrayWalk) -> String {
    var parts: [String] = []
    while true {
      if walk.enter() { parts.append(text(&walk)) } else if let value = walk.next() { parts.append(value.bytes.string) } else { break }
    }
    return "[" + parts.joined(separator: ",") + "]"
  }

  @Test(
    arguments: [
      "[]", "[[]]", "[1]", "[[1],[2]]", "[[[]],[],[[],1]]", #"["a]",{"b":[1,"]"]},[null,[true,"\\"],-0.10e1]]"#, "[[1,[2,[3,[4]]]],5]",
    ])
  func `an array is read element by element, with those in it entered`(array: String) throws {
    var walk = try #require(ArrayWalk(value(array)))
    let (all, more) = (text(&walk), walk.next())
    #expect(all == array)
    #expect(more == nil)
  }

  @Test func `blanks are passed over`() throws {
    var walk = try #require(ArrayWalk(value("[ [ 1 ,\n2 ]\t, [ ] , 3\r]")))
    let walkAll = text(&walk)
    #expect(walkAll == "[[1,2],[],3]")
  }

  @Test func `an array that is not entered is taken whole`() throws {
    var walk = try #require(ArrayWalk(value("[[1,2],[3],4]")))
    let whole = walk.next()
    let isEntered = walk.enter()
    let (inner, end) = (walk.next(), walk.next())
    let isEnteredAgain = walk.enter()
    let (last, outerEnd) = (walk.next(), walk.next())
    #expect([whole, inner, end, last, outerEnd].map { $0?.bytes.string } == ["[1,2]", "3", nil, "4", nil])
    #expect(isEntered && !isEnteredAgain)
  }

  @Test func `the array of a member is found, and nothing else is`() throws {
    let object = try value(#"{"a":{"list":[0]}, "b":"list" ,"list" : [1,[2]] ,"list":[3],"text":"x","last":[]}"#)
    var walk = try #require(ArrayWalk(object, member: "list"))
    let walkAll = text(&walk)
    #expect(walkAll == "[1,[2]]")
    let (isEntered, more) = (walk.enter(), walk.next())
    #expect(!isEntered && more == nil)
    var last = try #require(ArrayWalk(object, member: "last"))
    let lastAll = text(&last)
    #expect(lastAll == "[]")
    #expect(ArrayWalk(object, member: "text") == nil)
    #expect(ArrayWalk(object, member: "lis") == nil)
    #expect(ArrayWalk(try value("{}"), member: "list") == nil)
    #expect(ArrayWalk(try value("[]"), member: "list") == nil)
    #expect(ArrayWalk(object) == nil)
  }
}
