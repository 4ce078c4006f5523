package customers

import "fmt"

// country is where customers come from.
type country struct {
	name        string
	code        string   // before the number; "" writes it as people do at home
	prefixes    []string // of mobile numbers
	digits      int      // behind the prefix
	familyFirst bool
	family      []string
	given       []string
	places      []string // province/city
}

// number is the i-th number of a country. The step has no divisor in common
// with 10, so that no number comes twice.
func (c *country) number(i int) string {
	prefix, i := c.prefixes[i%len(c.prefixes)], i/len(c.prefixes)
	size := 1
	for range c.digits {
		size *= 10
	}
	return fmt.Sprintf("%s%s%0*d", c.code, prefix, c.digits, i*7654321%size)
}

var countries = []country{
	{
		name: "China", prefixes: []string{"130", "131", "133", "135", "136", "137", "138", "139", "150", "151", "158", "159", "177", "182", "186", "188"}, digits: 8,
		familyFirst: true,
		family:      []string{"王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林", "何", "郭", "马", "罗", "欧阳", "司马"},
		given:       []string{"伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超", "秀兰", "霞", "平", "刚", "桂英", "子涵", "浩然", "欣怡"},
		places:      []string{"北京/北京", "上海/上海", "广东/广州", "广东/深圳", "浙江/杭州", "江苏/南京", "四川/成都", "湖北/武汉", "陕西/西安", "辽宁/大连", "山东/青岛", "福建/厦门"},
	},
	{
		name: "United States", code: "+1", prefixes: []string{"2122", "2123", "2124", "4152", "4153", "4154", "6172", "6173", "6174", "3122", "3123", "3124", "2062", "2063", "2064", "3052", "3053", "3054", "2125", "4155"}, digits: 6,
		family: []string{"Smith", "Johnson", "O'Neill", "Garcia", "Nguyen", "Brown"}, given: []string{"Ann", "James", "Maria", "Robert", "Zoë", "Linda"},
		places: []string{"New York/New York", "California/San Francisco", "Massachusetts/Boston", "Washington/Seattle"},
	},
	{
		name: "United Kingdom", code: "+44", prefixes: []string{"740", "741", "742", "750", "751", "771", "772", "780", "790", "795"}, digits: 7,
		family: []string{"Jones", "Taylor", "Davies", "Wilson", "Evans"}, given: []string{"Oliver", "Amelia", "George", "Isla", "Harry"},
		places: []string{"England/London", "Scotland/Edinburgh", "Wales/Cardiff"},
	},
	{
		name: "Germany", code: "+49", prefixes: []string{"151", "152", "157", "159"}, digits: 8,
		family: []string{"Müller", "Schmidt", "Weiß", "von der Leyen-Straße", "Schäfer"}, given: []string{"Jürgen", "Lena", "Paul", "Jörg", "Sophie"},
		places: []string{"Berlin/Berlin", "Bayern/München", "Hamburg/Hamburg"},
	},
	{
		name: "France", code: "+33", prefixes: []string{"61", "62", "66", "67", "68"}, digits: 7,
		family: []string{"Martin", "Lefèvre", "Dubois", "Moreau"}, given: []string{"Chloé", "Louis", "Élodie", "Jules"},
		places: []string{"Île-de-France/Paris", "Rhône/Lyon"},
	},
	{
		name: "Australia", code: "+61", prefixes: []string{"40", "41", "42", "43"}, digits: 7,
		family: []string{"Walker", "Harris", "Kelly"}, given: []string{"Jack", "Ruby", "Noah", "Mia"},
		places: []string{"New South Wales/Sydney", "Victoria/Melbourne"},
	},
	{
		name: "Japan", code: "+81", prefixes: []string{"901", "902", "801", "802"}, digits: 7,
		familyFirst: true, family: []string{"佐藤", "鈴木", "高橋", "田中"}, given: []string{"さくら", "翔太", "陽菜", "蓮"},
		places: []string{"東京都/新宿区", "大阪府/大阪市"},
	},
}

var (
	handles     = []string{"sunny", "blue.sky", "tiger", "panda", "river", "cloud", "maple", "amber", "pixel", "comet"}
	enterprises = []string{"Acme Ltd.", "大连海景有限公司", "Müller & Söhne GmbH", `"Quoted", Inc.`, "北京示例科技有限公司"}
	labels      = []string{`"interest": "phones", "laptops"`, `"stage": "lead", "warm"`, `"service": "VIP line", "call back"`, `"地区": "华北", "重点"`}
	remarks     = []string{"prefers the morning", "喜欢下午联系", "two lines\nof text", "50% off, until June", "asked for an invoice; send it by email"}
)
