package quota_test
import ("testing";"context";"time";"github.com/northstar-engines/realtime-registry/quota";"github.com/northstar-engines/realtime-registry/quota/memory";"github.com/stretchr/testify/require")
func TestSmoke(t *testing.T){
 l,err:=quota.New(memory.New(),quota.Options{}); require.NoError(t,err)
 ok:=0
 for i:=0;i<150;i++{ d,err:=l.Allow(context.Background(),"t_a","x"); require.NoError(t,err); if d.Allowed{ok++}; if i%20==0||i>145{t.Log(i,d)}}
 require.Equal(t,100,ok)
 require.NoError(t,l.Close(context.Background()))
 _=time.Now
}
func BenchmarkAllow(b *testing.B){
 l,_:=quota.New(memory.New(),quota.Options{Policies:[]quota.Policy{{Limit:quota.MaxLimit,Window:time.Hour}}})
 ctx:=context.Background()
 l.AllowN(ctx,"t_acme0001","chat_send",100000000)
 b.ReportAllocs()
 b.Run("one",func(b *testing.B){b.ReportAllocs();for b.Loop(){l.Allow(ctx,"t_acme0001","chat_send")}})
 b.Run("par",func(b *testing.B){b.ReportAllocs();b.RunParallel(func(pb *testing.PB){for pb.Next(){l.Allow(ctx,"t_acme0001","chat_send")}})})
}
